// All actors of the simulated world and their actions: clients, operators, and misfortune.
//
// Include it before storage/schema.h where both are needed: the validator's TokenKey (a type) and
// the store's TokenKey (a function) share a name, and meet only here.
#ifndef TOLLGATE_TESTS_SIMULATION_TOWN_H_
#define TOLLGATE_TESTS_SIMULATION_TOWN_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "service/records/change.h"
#include "tests/simulation/holder_node.h"
#include "tests/simulation/network.h"
#include "tests/simulation/oracle.h"
#include "tests/simulation/service_node.h"
#include "tests/simulation/validator_node.h"
#include "tests/simulation/world.h"
#include "token/keyring.h"
#include "token/token_string.h"

namespace tollgate::simulation {

// The kind of a run, drawn from its seed, so that runs differ in more than detail.
struct Fate {
  ServiceOptions service;
  std::string brand;  // the brand of the installation's token strings
  // The longest lease of the run.
  int64_t longest_lease = 0;
  double drift = 0.001;
  int validators = 2;
  int64_t length = 20 * kSecond;
  int64_t check_every = 10 * kMillisecond;
  int64_t change_every = 80 * kMillisecond;
  int64_t fault_every = kSecond;
  ValidatorSettings validator;
  int64_t delay = 2 * kMillisecond;
  bool lowers_lease = false;  // a restart may change the lease
  bool fail_open = false;     // one validator fails open
  bool stuck = false;         // one validator pings and never applies
  bool journal = true;        // the store has one
  bool misbranded = false;    // one validator expects token strings of another brand
  bool clock_wrong = false;   // the service's wall clock is set wrong at times
  bool loses_tail = false;    // the store loses its last commits at times
  bool holders = false;       // every validator has a holder beside it
  bool annotates = false;     // workspaces' policies name annotations for the edge, and change
  bool open_returns = false;  // the one that fails open comes back after its lease at times
  bool sleeps = false;        // every machine is stopped for most of the hold after a restore
  std::vector<int> faults;    // the kinds of faults that can happen in this run
};
Fate DrawFate(World* world);

class Town {
 public:
  explicit Town(World* world);
  ~Town();
  // Runs to the end; then mends everything and checks that all is well again.
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
  std::shared_ptr<ServiceNode> StartService(std::shared_ptr<Disk> disk,
                                            std::function<void()> on_serving = nullptr);
  // The service that new streams, questions and clients reach; null: there is none.
  std::shared_ptr<ServiceNode> Reachable();
  void RestartLater(int64_t delay);
  // Starts a service on the store. Where a proof had stopped that one its start would be refused,
  // and an operator begins a new epoch.
  void StartAgain();
  void StealVolume();
  // A service's machine is stopped, and resumed as if no time had passed; only its wall clock has
  // gone on.
  void Suspend(const std::shared_ptr<ServiceNode>& service, int64_t gone);
  void TakeBackup();
  // Restores the backup, or (without one) the store as it is. `journal`: takes away again what the
  // journal holds.
  void Restore(bool journal);
  // Checks R17: what was taken away before the restore is taken away after it, and nothing else is.
  // The oracle learns the tokens' new state.
  void AuditReplay(const History& before, Disk& disk);
  void RollBack();
  // Now and then the service crashes, and the disk has lost its newest commits, though it had said
  // that they are durable: a torn log, a disk that lies.
  void LoseTailNowAndThen();
  void LoseTail(std::shared_ptr<storage::MemoryEngine> kept, int64_t revision);
  // Checks a store after a start: it holds everything that was promised (I4).
  void AuditStore(ServiceNode& service);
  // Whether a tombstone is all that the store has of the token.
  bool IsPurged(const storage::View& view, int token) const;

  // --- validators -----------------------------------------------------------------------------
  void AddValidator(const std::string& id, bool fail_open, std::shared_ptr<Link> link,
                    std::shared_ptr<StateFolder> folder = nullptr);
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
  // `again`: a token that was rotated, perhaps.
  void Rotate(int token, bool again = false);
  // Does a rotation again, plans it anew, or takes it back.
  void MendRotation(int token);
  // A change has given this replacement up, unless it had ended.
  void NoteGivenUp(const tollgate::v1::Token& given_up, History& history, int64_t revision);
  void Sweep(bool compact);
  void NewerServiceChange(int token);
  // Now and then a policy names other annotations for the edge, or a token gets others.
  void AnnotateNowAndThen();
  void NameAnnotations();
  void Annotate(int token);
  // `revoked`: the token that the change revoked; -1: none.
  void AfterChange(ServiceNode& service, int64_t revision, int revoked = -1);
  void AskForReceipt();
  void OnReceipt(const std::shared_ptr<History>& history, const tollgate::v1::Receipt& receipt);
  void CheckSomething();
  // A receipt was just given out: checks every token that is off, at every validator, now.
  void ProbeAll();
  void Probe(ValidatorNode& validator);
  void AddHolders(int64_t until);
  // Checks the token around the moment at which it expires (R18).
  void ProbeExpiry(int token, int64_t expire_us);
  int AnyToken();
  // The path of a mark for a disk; empty where none is kept in this run.
  std::string NewMark();

  // --- misfortune -----------------------------------------------------------------------------
  void Misfortune();
  // A case for R9. Validator `late` loses its stream, and is stopped for longer than its lease;
  // meanwhile tokens that it knows are revoked, and that is enforced without it. Then the service
  // crashes, and `other`, whose lease lives, is stopped too. So `late` comes back to a service that
  // cannot declare anything yet, and lacks what the service before had declared.
  void ComeBackLate(const std::shared_ptr<ValidatorNode>& late,
                    const std::shared_ptr<ValidatorNode>& other);
  // A case for R14, now and then. The validator that fails open is cut off for longer than its
  // lease; what it knows is revoked, and that is enforced without it. It comes back, and is granted
  // a lease while what it lacks is still on its way.
  void OpenComesBackNowAndThen();
  // From now on the validator holds what it may of the tokens that changed lately; returns those.
  std::vector<int> Learn(const std::shared_ptr<ValidatorNode>& validator);
  // A case for R5. The lease is made long; then, within one such lease of a validator that is cut
  // off, the service starts twice with a short lease.
  void LowerTheLease(const std::shared_ptr<ValidatorNode>& cut_off);
  // The wall clock of the service's machine is set wrong, for a while; a service that starts
  // meanwhile finds it so (R20).
  void SetClockWrong();
  void SetClockRight();
  // A stranger claims to be this validator's session.
  void Impersonate(const std::shared_ptr<ValidatorNode>& validator);
  void Heal();
  void JudgeLiveness();
  // All is well but for the hold of R17, as `receipt` tells: where this run sleeps, every machine
  // is stopped until shortly before the hold ends.
  void SleepThroughHold(const tollgate::v1::Receipt& receipt);
  void RunUntil(int64_t time);

  World* const world_;
  const Fate fate_;
  Oracle oracle_;
  // The leases of the service's next starts, in order.
  std::deque<absl::Duration> coming_leases_;
  // No report of use was lost with its store.
  bool use_is_whole_ = true;
  const token::Keyring keyring_;
  const token::TokenFormat format_;
  std::vector<SimToken> tokens_;
  std::string folder_;  // the journals' folder
  int journals_ = 0;
  int marks_ = 0;
  std::shared_ptr<Disk> disk_;
  std::shared_ptr<ServiceNode> service_;
  std::shared_ptr<ServiceNode> former_;  // the service on the volume that was stolen from it
  std::string loyal_;                    // the validator that reaches no service but former_
  std::vector<std::shared_ptr<ValidatorNode>> validators_;
  std::vector<std::shared_ptr<ValidatorNode>> lingering_;  // validators that said goodbye, or are
                                                           // twins
  std::vector<std::shared_ptr<HolderNode>> holders_;
  std::shared_ptr<StuckClient> stuck_;
  std::vector<std::shared_ptr<Stranger>> strangers_;
  std::shared_ptr<storage::MemoryEngine> backup_;
  std::shared_ptr<History> backup_history_;
  int64_t backup_revision_ = 0;
  std::set<int> recent_;  // tokens changed lately
  int services_ = 0;
  int restores_ = 0;
  std::string backup_journal_;  // as it was then
  bool put_back_ = false;       // the store was rolled back, and nobody has noticed it yet
  bool quiet_ = false;          // no changes: a roll-back is to be noticed first
  bool healing_ = false;
  bool restart_due_ = false;
  int64_t clock_error_ = 0;  // of the service's machine
};

}  // namespace tollgate::simulation

#endif  // TOLLGATE_TESTS_SIMULATION_TOWN_H_
