// One process, one thread, virtual time: the base of everything in the simulation.
#ifndef TOLLGATE_TESTS_SIMULATION_WORLD_H_
#define TOLLGATE_TESTS_SIMULATION_WORLD_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/random.h"

namespace tollgate::simulation {

// Virtual time is in nanoseconds since the world began.
constexpr int64_t kMillisecond = 1'000'000;
constexpr int64_t kSecond = 1'000'000'000;
inline int64_t Nanos(absl::Duration d) { return absl::ToInt64Nanoseconds(d); }

// Events on virtual time, randomness from the seed, and the history of what happened.
class World {
 public:
  // With `record` the history is also kept as text, to be printed. Its hash is always kept.
  World(uint64_t seed, bool record)
      : rng_(seed),
        clock_rng_(seed ^ 0x9e3779b97f4a7c15),
        tail_rng_(seed ^ 0xbf58476d1ce4e5b9),
        hold_rng_(seed ^ 0x94d049bb133111eb),
        holder_rng_(seed ^ 0xd6e8feb86659fd93),
        policy_rng_(seed ^ 0xa0761d6478bd642f),
        late_rng_(seed ^ 0xe7037ed1a0b428db),
        record_(record) {}

  int64_t now() const { return now_; }
  base::SeededRandom& rng() { return rng_; }
  // For what goes wrong with the service's clock: its own, so that all else of a seed stays as it
  // was.
  base::SeededRandom& clock_rng() { return clock_rng_; }
  // For the last commits of a store that are lost; its own, too.
  base::SeededRandom& tail_rng() { return tail_rng_; }
  // For how the hold after a restore is spent; its own, too.
  base::SeededRandom& hold_rng() { return hold_rng_; }
  // For holders, and whether there are any in this run; its own, too.
  base::SeededRandom& holder_rng() { return holder_rng_; }
  // For workspaces' policies.
  base::SeededRandom& policy_rng() { return policy_rng_; }
  // For those that come back late; its own, too.
  base::SeededRandom& late_rng() { return late_rng_; }
  bool Chance(double p) { return rng_.UniformReal() < p; }
  int64_t Between(int64_t low, int64_t high) {
    return high <= low ? low : low + static_cast<int64_t>(rng_.Uniform(high - low));
  }
  int64_t Exponential(int64_t mean);
  template <typename T>
  T Pick(std::initializer_list<T> of) {
    return *(of.begin() + rng_.Uniform(of.size()));
  }

  // A machine that can be paused. Nothing happens on a paused machine, and what was due is late.
  // Node 0 never pauses.
  int AddNode();
  void Pause(int node, int64_t until);
  void PauseAll(int64_t until);
  bool Paused(int node) const { return paused_until_[node] > now_; }

  // Runs `what` on `node` at `time`. `first`: before everything else at that moment.
  void At(int64_t time, int node, std::function<void()> what, bool first = false);
  void After(int64_t delay, int node, std::function<void()> what) {
    At(now_ + delay, node, std::move(what));
  }
  // Drops everything that is due.
  void Clear();
  // Runs the next event; false: there was none.
  bool Step();
  int64_t steps() const { return steps_; }

  // Adds one line to the history. Every argument goes into the hash.
  void Note(absl::string_view what, absl::string_view who = {}, int64_t a = 0, int64_t b = 0,
            int64_t c = 0);
  bool recording() const { return record_; }
  const std::vector<std::string>& history() const { return history_; }
  uint64_t hash() const { return hash_; }

  // An invariant is broken. The first break counts, and ends the run.
  void Break(absl::string_view invariant, const std::string& how);
  bool broken() const { return !invariant_.empty(); }
  const std::string& invariant() const { return invariant_; }
  const std::string& how() const { return how_; }

  int64_t faults = 0;
  int64_t receipts_judged = 0;
  int64_t admits_judged = 0;
  int64_t denials_judged = 0;
  int64_t holds_opened = 0;
  int64_t holds_judged = 0;  // of tokens that were off

 private:
  // What is due, and where `what` of it lies.
  struct Due {
    int64_t time;
    uint64_t number;  // its turn among those of one time
    uint32_t place;
    int32_t node;
    // For a heap whose front is due next.
    friend bool operator<(const Due& a, const Due& b) {
      return a.time != b.time ? a.time > b.time : a.number > b.number;
    }
  };
  void Mix(uint64_t word) { hash_ = (hash_ ^ word) * 0x100000001b3; }

  base::SeededRandom rng_;
  base::SeededRandom clock_rng_;
  base::SeededRandom tail_rng_;
  base::SeededRandom hold_rng_;
  base::SeededRandom holder_rng_;
  base::SeededRandom policy_rng_;
  base::SeededRandom late_rng_;
  const bool record_;
  int64_t now_ = 0;
  uint64_t next_number_ = 0;
  int64_t steps_ = 0;
  // Cheap to add to and to take from, for most of a run's time goes by in it: a heap of small
  // entries, and their functions in places that are used again.
  std::vector<Due> due_;
  std::vector<std::function<void()>> whats_;
  std::vector<uint32_t> free_places_;
  std::vector<int64_t> paused_until_ = {0};
  std::vector<std::string> history_;
  uint64_t hash_ = 0xcbf29ce484222325;
  std::string invariant_;
  std::string how_;
};

// The clocks of one machine. Its boot clock runs at its own rate, within the drift bound.
class NodeClock : public base::Clock {
 public:
  // `wall_offset`: how far the machine's wall clock is ahead of the true one.
  NodeClock(const World* world, double rate, int64_t boot_base, int64_t wall_offset)
      : world_(world), rate_(rate), boot_base_(boot_base), wall_offset_(wall_offset) {}
  base::BootTime Now() const override {
    return base::BootTime::FromNanos(boot_base_ + Elapsed() - stood_still_);
  }
  absl::Time WallNow() const override {
    return WallAt(true_wall_ ? world_->now() + wall_error_ : Elapsed() + wall_offset_);
  }

  // From now on the wall clock shows the true time, but for an error (R18, R20): a service's
  // machine.
  void KeepTrueWall() { true_wall_ = true; }
  void SetWallError(int64_t ns) { wall_error_ = ns; }
  int64_t wall_error() const { return wall_error_; }
  static absl::Time WallAt(int64_t true_ns) {
    return absl::FromUnixSeconds(1'700'000'000) + absl::Nanoseconds(true_ns);
  }
  // The true time at which this machine's boot clock will show `boot`.
  int64_t TrueTimeOf(base::BootTime boot) const;
  // A virtual machine was resumed from a snapshot: its boot clock stood still, its wall clock went
  // on.
  void StandStill(int64_t ns) { stood_still_ += ns; }
  void StepWall(int64_t ns) { wall_offset_ += ns; }

 private:
  int64_t Elapsed() const {
    return static_cast<int64_t>(static_cast<double>(world_->now()) * rate_);
  }
  const World* const world_;
  const double rate_;
  const int64_t boot_base_;
  int64_t wall_offset_;
  int64_t stood_still_ = 0;
  int64_t wall_error_ = 0;
  bool true_wall_ = false;
};

}  // namespace tollgate::simulation

#endif  // TOLLGATE_TESTS_SIMULATION_WORLD_H_
