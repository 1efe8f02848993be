// One holder: a process that keeps to docs/holds.md, beside an edge. What it believes is judged.
#ifndef TOLLGATE_TESTS_SIMULATION_HOLDER_NODE_H_
#define TOLLGATE_TESTS_SIMULATION_HOLDER_NODE_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "tests/simulation/oracle.h"
#include "tests/simulation/validator_node.h"
#include "tests/simulation/world.h"
#include "tollgate/v1/validation_service.pb.h"
#include "validator/core/holds.h"

namespace tollgate::simulation {

struct HolderSettings {
  double clock_rate = 1;  // within the drift bound
  int64_t longest_lease = 0;
  int64_t until = 0;  // then it opens and renews nothing any more
};

// Draws from a source of its own. Its messages take a while, in order; its stream breaks now and
// then, and either end hears of it late; it is stopped now and then; it may answer Ended late, or
// not at all.
class HolderNode : public std::enable_shared_from_this<HolderNode> {
 public:
  // The validator of its host; null or not alive: there is none now.
  using Host = std::function<std::shared_ptr<ValidatorNode>()>;
  struct Token {
    int number = 0;
    std::string token_string;
  };
  // `any`: a token to be held.
  HolderNode(World* world, Oracle* oracle, HolderSettings settings, Host host,
             std::function<Token(uint64_t random)> any);

  void Start();
  // Breaks "holds" where it believes what was promised to be over: after revisions of `history`
  // were declared enforced.
  void Judge(const History& history);

 private:
  // What it keeps open.
  struct Held {
    int token = 0;
    std::string scope;
    base::BootTime until;
    std::shared_ptr<ValidatorNode> edge;
    std::shared_ptr<History> history;  // that the edge followed
    int64_t told_at = 0;  // the edge was seen to have applied what ended the token; 0: not yet
  };
  struct Stream {
    std::shared_ptr<ValidatorNode> edge;
    validator::Holds::HolderRef ref;
    bool broken = false;  // to the holder
    bool left = false;    // to the edge
    int64_t up = 0;       // when the last message each way arrives
    int64_t down = 0;
    uint64_t last_id = 0;
    uint64_t renewed = 0;
    std::map<uint64_t, base::BootTime> opens;  // when they were sent
    std::map<uint64_t, base::BootTime> renews;
    std::map<uint64_t, Held> asked;
    std::map<uint64_t, Held> held;
  };

  bool Chance(double p) { return random_.UniformReal() < p; }
  int64_t Exponential(int64_t mean);
  void Act();
  void Connect();
  void Open();
  void Renew();
  void Break();
  // Runs `what` at the edge, in order, unless the stream has gone there.
  void Up(const std::shared_ptr<Stream>& stream, std::function<void()> what);
  // What the edge has for the holder is on its way.
  void Pull(const std::shared_ptr<Stream>& stream);
  void OnMessage(Stream* stream, const std::shared_ptr<Stream>& kept,
                 const tollgate::v1::HoldResponse& message);
  void JudgeOne(const History& history, Held* held);

  World* const world_;
  Oracle* const oracle_;
  const HolderSettings settings_;
  const Host host_;
  const std::function<Token(uint64_t)> any_;
  const int node_;
  base::SeededRandom random_;
  NodeClock clock_;
  std::shared_ptr<Stream> stream_;             // the present one
  std::vector<std::shared_ptr<Stream>> past_;  // whose holds may be good for a while
};

}  // namespace tollgate::simulation

#endif  // TOLLGATE_TESTS_SIMULATION_HOLDER_NODE_H_
