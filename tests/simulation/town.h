// Everybody in the simulated world, and what they do: clients, operators, and misfortune.
//
// Comes before storage/schema.h where both are needed: the validator's TokenKey (a type) and the
// store's TokenKey (a function) have one name, and here alone they meet.
#ifndef TOLLGATE_TESTS_SIMULATION_TOWN_H_
#define TOLLGATE_TESTS_SIMULATION_TOWN_H_

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "service/records/change.h"
#include "tests/simulation/network.h"
#include "tests/simulation/oracle.h"
#include "tests/simulation/service_node.h"
#include "tests/simulation/validator_node.h"
#include "tests/simulation/world.h"
#include "token/keyring.h"
#include "token/token_string.h"

namespace tollgate::simulation {

// What a run is made of; drawn from its seed, so that runs differ in kind and not only in detail.
struct Fate {
  ServiceOptions service;
  std::string brand;  // of the installation's token strings
  // No lease of the run is longer.
  int64_t longest_lease = 0;
  double drift = 0.001;
  int validators = 2;
  int64_t length = 20 * kSecond;
  int64_t check_every = 10 * kMillisecond;
  int64_t change_every = 80 * kMillisecond;
  int64_t fault_every = kSecond;
  ValidatorSettings validator;
  int64_t delay = 2 * kMillisecond;
  bool lowers_lease = false;  // a restart may have another lease
  bool fail_open = false;     // one of them is
  bool stuck = false;         // one pings and never applies
  bool journal = true;        // the store has one
  bool misbranded = false;    // one looks for token strings of another brand
  bool clock_wrong = false;   // the service's wall clock is set wrong at times
  std::vector<int> faults;    // kinds that can happen in this run
};
Fate DrawFate(World* world);

class Town {
 public:
  explicit Town(World* world);
  ~Town();
  // Runs to the end, then mends everything and sees whether all is well again.
  void Live();

 private:
  struct SimToken {
    std::string token_string;
    std::string public_id;
    std::string workspace;
    std::string owner;
    service::MintedToken minted;
    bool proposed = false;
  };
  class StuckClient;
  class Stranger;

  // --- services -------------------------------------------------------------------------------
  std::shared_ptr<ServiceNode> StartService(std::shared_ptr<Disk> disk);
  // The service that new streams, questions and clients reach; null: none.
  std::shared_ptr<ServiceNode> Reachable();
  void RestartLater(int64_t delay);
  void StealVolume();
  // A service's machine is stopped, and resumed as if no time had passed but for its wall clock.
  void Suspend(const std::shared_ptr<ServiceNode>& service, int64_t gone);
  void TakeBackup();
  // From the backup, or (without one) from the store as it is; `journal`: what the journal knows is
  // taken away again.
  void Restore(bool journal);
  // What was taken away before the restore is taken away after it, and nothing else is (R17). The
  // model learns what became of the tokens.
  void AuditReplay(const History& before, Disk& disk);
  void RollBack();
  // Looks at a store after a start: what was promised is in it (I4).
  void AuditStore(ServiceNode& service);

  // --- validators -----------------------------------------------------------------------------
  void AddValidator(const std::string& id, bool fail_open, std::shared_ptr<Link> link);
  std::shared_ptr<ValidatorNode> MakeValidator(ValidatorSettings settings,
                                               std::shared_ptr<Link> link);
  void RestartValidator(size_t index, int64_t delay);
  ValidatorNode* AnyValidator();

  // --- what people do -------------------------------------------------------------------------
  int Mint();
  void ChangeSomething();
  void Create(int token, bool lasting = false);
  void ChangeToken(int token);
  void Revoke(int token);
  void RevokeCohort();
  void Rotate(int token);
  void Sweep(bool compact);
  void NewerServiceChange(int token);
  // `revoked`: the token that the change revoked; -1: none.
  void AfterChange(ServiceNode& service, int64_t revision, int revoked = -1);
  void AskForReceipt();
  void OnReceipt(const std::shared_ptr<History>& history, const tollgate::v1::Receipt& receipt);
  void CheckSomething();
  // Every token that is off, at every validator, now: a receipt was just given out.
  void ProbeAll();
  void Probe(ValidatorNode& validator);
  // Around the moment at which it expires (R18).
  void ProbeExpiry(int token, int64_t expire_us);
  int AnyToken();

  // --- misfortune -----------------------------------------------------------------------------
  void Misfortune();
  // One validator is stopped for longer than its lease, while tokens that it knows are revoked, and
  // that is enforced without it. Then the service crashes, and another, whose lease lives, is
  // stopped. So the first comes back to a start that can declare nothing yet, and lacks what the
  // service before has declared (R9).
  void ComeBackLate(const std::shared_ptr<ValidatorNode>& late,
                    const std::shared_ptr<ValidatorNode>& other);
  // The lease is made long; then, within one such lease of a validator that is cut off, the service
  // starts twice with a short one (R5).
  void LowerTheLease(const std::shared_ptr<ValidatorNode>& cut_off);
  // The wall clock of the service's machine is set wrong, for a while; a service that starts
  // meanwhile finds it so (R20).
  void SetClockWrong();
  void SetClockRight();
  // Somebody else says that they are the session of this validator.
  void Impersonate(const std::shared_ptr<ValidatorNode>& validator);
  void Heal();
  void JudgeLiveness();
  void RunUntil(int64_t time);

  World* const world_;
  const Fate fate_;
  Oracle oracle_;
  // Of the coming starts of a service, in order.
  std::deque<absl::Duration> coming_leases_;
  // Nothing that was heard of use was lost with its store.
  bool use_is_whole_ = true;
  const token::Keyring keyring_;
  const token::TokenFormat format_;
  std::vector<SimToken> tokens_;
  std::string folder_;  // of the journals
  int journals_ = 0;
  std::shared_ptr<Disk> disk_;
  std::shared_ptr<ServiceNode> service_;
  std::shared_ptr<ServiceNode> former_;  // on the volume that was stolen from it
  std::string loyal_;                    // the validator that reaches no other than former_
  std::vector<std::shared_ptr<ValidatorNode>> validators_;
  std::vector<std::shared_ptr<ValidatorNode>> lingering_;  // said goodbye, or are twins
  std::shared_ptr<StuckClient> stuck_;
  std::vector<std::shared_ptr<Stranger>> strangers_;
  std::shared_ptr<storage::MemoryEngine> backup_;
  std::shared_ptr<History> backup_history_;
  int64_t backup_revision_ = 0;
  std::set<int> recent_;  // tokens changed lately
  int services_ = 0;
  int restores_ = 0;
  bool quiet_ = false;  // no changes: a roll-back is to be noticed first
  bool healing_ = false;
  bool restart_due_ = false;
  int64_t clock_error_ = 0;  // of the service's machine
};

}  // namespace tollgate::simulation

#endif  // TOLLGATE_TESTS_SIMULATION_TOWN_H_
