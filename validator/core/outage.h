// The time for which the service cannot be reached: when to find out why, and when to tell.
//
//   unreached --Tried--> tried --look_after--> look --Found--> told, once `tell_after` has passed
//       ^                                       |                 |
//       |                                       +-- look_again ---+-- again each minute, and when
//      Lost                                                       |   the reason changes
//       |                                                         v
//    reached <---------------------- Heard ------------------ (told: back)
#ifndef TOLLGATE_VALIDATOR_CORE_OUTAGE_H_
#define TOLLGATE_VALIDATOR_CORE_OUTAGE_H_

#include <cstdint>
#include <deque>
#include <string>

#include "absl/time/time.h"
#include "base/clock.h"
#include "base/random.h"

namespace tollgate::validator {

struct OutageOptions {
  // An outage is looked into so long, or up to twice as long, after its first try began: by then a
  // stream is there if all is well, and not all edges of a service that is gone look at once. With
  // the look's own second, and the pause before the first try, below two seconds.
  absl::Duration look_after = absl::Milliseconds(400);
  // Told no sooner.
  absl::Duration tell_after = absl::Seconds(1);
  // A look that found nothing wrong is repeated so soon.
  absl::Duration look_twice = absl::Seconds(2);
  // The reason may change meanwhile.
  absl::Duration look_again = absl::Seconds(15);
  absl::Duration tell_again = absl::Minutes(1);
  // The most lines in a minute, whatever comes and goes.
  int most_lines = 10;
};

// Pure. Not thread-safe; `now` never falls.
class Outage {
 public:
  // The figures of a line.
  struct Figures {
    int64_t tries = 0;      // to open a stream, in this outage
    absl::Duration lasted;  // of the outage, so far
    int64_t left_out = 0;   // lines that were not told since the last one, for the bound
  };
  // What is to be done now.
  struct Next {
    bool look = false;  // find out why, then call Found
    bool tell = false;  // that the service is unreached, and why
    Figures figures;    // with `tell`
    // When to ask again, unless something happens before. InfiniteFuture: not at all.
    base::BootTime wake_at = base::BootTime::InfiniteFuture();
  };

  // The reason where two looks on end found nothing wrong, and yet no stream came about.
  static constexpr char kUnexplained[] = "NO_ANSWER";

  // Unreached from the start. `random` outlives the outage; it spreads the looks.
  Outage(OutageOptions options, base::Random* random, base::BootTime now);

  // A stream is being opened. A look may have become due: Ask again.
  void Tried(base::BootTime now);
  // The stream to the service is gone, or came to nothing. True: the service had been reached, and
  // a line may be told now.
  bool Lost(base::BootTime now);
  // The service is followed. True: it had not been, and a line may be told now, with the `figures`
  // of the outage. `*told`: that outage had been told.
  bool Heard(base::BootTime now, Figures* figures, bool* told);
  // The look that Next asked for has come upon this; empty: nothing wrong. Also without a look.
  void Found(const std::string& reason, base::BootTime now);
  Next Ask(base::BootTime now);

  bool reached() const { return reached_; }
  // Which outage it is, from 1 on: what a look came upon belongs to the one that it was begun in.
  int64_t number() const { return number_; }
  // What keeps the service from being reached, by the last look. Empty: reached, or not known yet.
  const std::string& reason() const { return reason_; }

 private:
  // The figures now; the lines left out are told by them.
  Figures TakeFigures(base::BootTime now);
  // Whether one more line may be told now.
  bool MayTell(base::BootTime now);
  void Begin(base::BootTime now);

  const OutageOptions options_;
  base::Random* const random_;
  bool reached_ = false;

  // Of the present outage, or of the last one.
  int64_t number_ = 0;
  base::BootTime since_;
  int64_t tries_ = 0;
  bool looking_ = false;
  base::BootTime look_at_;  // no sooner, and not before something was tried
  int clean_looks_ = 0;     // on end
  bool waiting_ = false;    // a stream is open, or on its way
  bool failed_ = false;     // a stream came to nothing since the last look
  std::string reason_;
  bool told_ = false;
  std::string told_reason_;
  base::BootTime told_at_;

  std::deque<base::BootTime> lines_;  // of the last minute; bounded by most_lines
  int64_t left_out_ = 0;
};

}  // namespace tollgate::validator

#endif  // TOLLGATE_VALIDATOR_CORE_OUTAGE_H_
