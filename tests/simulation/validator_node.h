// One validator's process: the real Validator, in a shell without threads that stands for the
// threads of validator/shells/link.cc and validator/shells/resolve_client.cc.
#ifndef TOLLGATE_TESTS_SIMULATION_VALIDATOR_NODE_H_
#define TOLLGATE_TESTS_SIMULATION_VALIDATOR_NODE_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "tests/simulation/network.h"
#include "tests/simulation/oracle.h"
#include "tests/simulation/service_node.h"
#include "tests/simulation/world.h"
#include "validator/core/validator.h"

namespace tollgate::simulation {

// The service that a stream or a question reaches now; null: none.
using Router = std::function<std::shared_ptr<ServiceNode>()>;

// A validator's state folder: outlives its processes (R19).
struct StateFolder : validator::ProofKeeper {
  void Keep(const tollgate::v1::Proof& kept) override {
    proof = kept;
    kept_now = true;
  }
  absl::optional<tollgate::v1::Proof> proof;
  bool kept_now = false;             // since that was last looked at
  std::shared_ptr<History> history;  // that the proof is of
};

struct ValidatorSettings {
  std::string id;
  std::shared_ptr<StateFolder> folder;  // null: it gets one of its own
  std::string brand;                    // of the token strings that it looks for
  double drift = 0.001;
  double clock_rate = 1;
  absl::Duration fail_open_for;  // zero: fail-closed
  absl::Duration welcome_timeout = absl::Seconds(2);
  int64_t resolve_delay = 2 * kMillisecond;  // the mean, one way
  double resolve_straggles = 0.05;           // how often an answer is very late
  int64_t straggle = kSecond;
  int64_t longest_lease = 0;
  absl::Duration answer_within = absl::Seconds(10);  // of holds in doubt
};

class ValidatorNode : public ClientEnd, public std::enable_shared_from_this<ValidatorNode> {
 public:
  ValidatorNode(World* world, Oracle* oracle, ValidatorSettings settings, Router router,
                std::shared_ptr<Link> link);
  ~ValidatorNode() override;

  void Start();
  // kill -9.
  void Crash(bool connection_noticed);
  // Says goodbye. The process lingers and is still asked: it must admit nothing.
  void SayGoodbye();

  // A request with this token string arrives. `scope`: the scope that it needs; empty: none.
  void Check(int token, const std::string& token_string, const std::string& scope, bool ask);
  // For the streams of holders, while it is alive.
  validator::Holds* holds() { return &validator_->holds(); }
  void OpenHold(const validator::Holds::HolderRef& holder, uint64_t id, int token,
                const std::string& token_string, const std::string& scope);
  // With what a word to a holder is judged that is said now.
  Judged HoldContext(int token, const std::string& scope) const { return Context(token, scope); }
  // Whether it follows `epoch`, has applied `last_event_revision`, and holds a live lease.
  bool InSync(int64_t last_event_revision, const std::string& epoch) const;

  // How far it has applied this history, or had when it was gone; 0: it follows another.
  int64_t AppliedOf(const History& history) const;

  bool alive() const { return alive_; }
  bool said_goodbye() const { return said_goodbye_; }
  int node() const { return node_; }
  const ValidatorSettings& settings() const { return settings_; }
  NodeClock& clock() { return clock_; }
  Link& link() { return *link_; }
  const std::shared_ptr<Link>& shared_link() const { return link_; }
  const std::shared_ptr<StateFolder>& folder() const { return folder_; }
  const std::shared_ptr<Connection>& connection() const { return connection_; }
  // The validator's name, as the transport knows it.
  std::string caller() const { return "spiffe://sim/" + settings_.id; }
  // The Hello that it would send now; and the name of the service that welcomed it last.
  tollgate::v1::Hello HelloNow() const;
  const std::string& welcomed_by() const { return welcomed_by_; }
  validator::ValidatorStatus Status() const { return validator_->Status(); }
  int64_t admits = 0;

  // ClientEnd.
  void OnOpen(uint64_t stream, bool ok) override;
  void OnDown(uint64_t stream, const tollgate::v1::FollowResponse& message) override;
  void OnEnd(uint64_t stream) override;

 private:
  void Do(validator::FollowerActions actions);
  void TickAt(base::BootTime boot);
  void Ask(const tollgate::v1::ResolveRequest& request,
           std::function<void(absl::StatusOr<tollgate::v1::ResolveResponse>)> answer);
  // `resets`: how many there had been before the message.
  void Watch(const tollgate::v1::FollowResponse& message, int64_t resets);
  // R19: whoever can prove another history is let in by none.
  void CheckNotForked(const StateFolder& before, const History& told);
  Judged Context(int token, const std::string& scope) const;
  // How far its view of the service's time may lie behind the true time.
  int64_t TimeLag() const;
  void Admitted(const Judged& judged);

  World* const world_;
  Oracle* const oracle_;
  const ValidatorSettings settings_;
  const std::shared_ptr<StateFolder> folder_;
  const Router router_;
  const std::shared_ptr<Link> link_;
  const int node_;
  NodeClock clock_;
  base::SeededRandom random_;
  std::unique_ptr<validator::Validator> validator_;
  bool alive_ = true;
  bool said_goodbye_ = false;
  int64_t applied_at_end_ = 0;  // once it is gone
  std::shared_ptr<Connection> connection_;
  uint64_t tick_number_ = 0;
  int64_t next_tick_ = INT64_MAX;

  // Open questions. Each is answered once, at the latest when the process ends.
  uint64_t next_question_ = 0;
  std::map<uint64_t, std::function<void(absl::StatusOr<tollgate::v1::ResolveResponse>)>> asked_;

  tollgate::v1::Hello hello_;  // the last one
  std::string welcomed_by_;
  int64_t longest_lag_ = 0;  // the largest lag of a service time in a Pong, on arrival

  // What it follows, as the oracle sees it.
  std::shared_ptr<History> following_;
  int64_t vouched_ = 0;           // the revision up to which applying was checked (I3)
  std::set<int64_t> delivered_;   // revisions of which all events have come
  std::map<int64_t, int> parts_;  // of this stream: how many events of each revision have come
};

}  // namespace tollgate::simulation

#endif  // TOLLGATE_TESTS_SIMULATION_VALIDATOR_NODE_H_
