// Which of many like lines are written: the first at once, the others as a sum.
#ifndef TOLLGATE_BASE_LINE_SUMS_H_
#define TOLLGATE_BASE_LINE_SUMS_H_

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/log.h"

namespace tollgate::base {

// Whoever can make a service write a line can make it write a million. Of lines of one kind the
// first is written when it comes; what comes within a period from it is counted, and the count is
// one line at the period's end, with which the next period begins. A period in which nothing came
// ends that, so that the next line is written at once again. Pure; not thread-safe.
class LineSums {
 public:
  struct Options {
    absl::Duration period = absl::Minutes(1);
    // Kinds that are told apart at once. A further one takes the place of the kind whose period
    // ends first: its count is told early, and its next line is written.
    size_t most_kinds = 64;
  };
  // A kind of lines: the words, and the reason that they give.
  struct Kind {
    LogLevel level = LogLevel::kInfo;
    std::string message;
    std::string reason;
    friend auto operator<=>(const Kind&, const Kind&) = default;
  };
  // So many lines of a kind were left out, within `within`.
  struct Sum {
    Kind kind;
    int64_t lines = 0;
    absl::Duration within;
  };

  explicit LineSums(Options options) : options_(options) {}

  // Whether this line is to be written. `now` never goes back. To `*sums` are added those that are
  // to be written before it.
  bool Take(LogLevel level, absl::string_view message, absl::string_view reason, BootTime now,
            std::vector<Sum>* sums);
  // The sums of periods that have ended at `now`.
  std::vector<Sum> Due(BootTime now);
  // All sums, before nobody asks any more. Afterwards every kind is new.
  std::vector<Sum> All(BootTime now);

  // The longest reason that is told apart; a longer one is cut, since a peer may have written it.
  static constexpr size_t kMostReason = 64;

 private:
  struct Period {
    BootTime begin;
    int64_t left_out = 0;
  };
  using Periods = std::map<Kind, Period>;
  static void Tell(const Periods::value_type& period, BootTime now, std::vector<Sum>* sums);

  const Options options_;
  Periods periods_;
};

}  // namespace tollgate::base

#endif  // TOLLGATE_BASE_LINE_SUMS_H_
