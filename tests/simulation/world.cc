#include "tests/simulation/world.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace tollgate::simulation {
namespace {

constexpr uint64_t kNotFirst = uint64_t{1} << 63;  // in an event's number

}  // namespace

int64_t World::Exponential(int64_t mean) {
  return static_cast<int64_t>(-std::log(1.0 - rng_.UniformReal()) * static_cast<double>(mean));
}

int World::AddNode() {
  paused_until_.push_back(0);
  return static_cast<int>(paused_until_.size()) - 1;
}

void World::Pause(int node, int64_t until) {
  paused_until_[node] = std::max(paused_until_[node], until);
}

void World::PauseAll(int64_t until) {
  for (int node = 1; node < static_cast<int>(paused_until_.size()); ++node) Pause(node, until);
}

void World::At(int64_t time, int node, std::function<void()> what, bool first) {
  uint32_t place = static_cast<uint32_t>(whats_.size());
  if (free_places_.empty()) {
    whats_.push_back(std::move(what));
  } else {
    place = free_places_.back();
    free_places_.pop_back();
    whats_[place] = std::move(what);
  }
  const uint64_t number = next_number_++ | (first ? 0 : kNotFirst);
  due_.push_back(Due{std::max(time, now_), number, place, node});
  std::push_heap(due_.begin(), due_.end());
}

void World::Clear() {
  // What goes may add more.
  while (!due_.empty()) {
    due_.clear();
    free_places_.clear();
    std::vector<std::function<void()>> gone;
    gone.swap(whats_);
  }
}

bool World::Step() {
  while (!due_.empty()) {
    std::pop_heap(due_.begin(), due_.end());
    Due& next = due_.back();
    const int64_t time = std::max(next.time, now_);
    const int64_t until = paused_until_[next.node];
    if (until > time) {
      next.time = until;  // its number keeps its place among those that are late with it
      std::push_heap(due_.begin(), due_.end());
      continue;
    }
    now_ = time;
    const std::function<void()> what = std::exchange(whats_[next.place], nullptr);
    free_places_.push_back(next.place);
    due_.pop_back();
    ++steps_;
    what();
    return true;
  }
  return false;
}

void World::Note(absl::string_view what, absl::string_view who, int64_t a, int64_t b, int64_t c) {
  Mix(static_cast<uint64_t>(now_));
  for (char ch : what) Mix(static_cast<unsigned char>(ch));
  for (char ch : who) Mix(static_cast<unsigned char>(ch));
  Mix(static_cast<uint64_t>(a));
  Mix(static_cast<uint64_t>(b));
  Mix(static_cast<uint64_t>(c));
  if (!record_) return;
  std::string line = absl::StrFormat("%10.4f  %-10s %s", static_cast<double>(now_) / kSecond,
                                     std::string(who), std::string(what));
  if (a != 0 || b != 0 || c != 0) absl::StrAppend(&line, " ", a);
  if (b != 0 || c != 0) absl::StrAppend(&line, " ", b);
  if (c != 0) absl::StrAppend(&line, " ", c);
  history_.push_back(std::move(line));
}

void World::Break(absl::string_view invariant, const std::string& how) {
  if (broken()) return;
  invariant_ = std::string(invariant);
  how_ = how;
  Note(absl::StrCat("*** ", invariant, " broken: ", how));
}

int64_t NodeClock::TrueTimeOf(base::BootTime boot) const {
  const double left = static_cast<double>(boot.nanos() - Now().nanos());
  return world_->now() + static_cast<int64_t>(left / rate_) + 2;
}

}  // namespace tollgate::simulation
