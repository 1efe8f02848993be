// One holder's stream, as far as its own messages go: what it may say next, and what it has not
// been told yet. Which of its holds are good is the table's (hold_table.h).
#ifndef TOLLGATE_VALIDATOR_CORE_HOLDER_H_
#define TOLLGATE_VALIDATOR_CORE_HOLDER_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/optional.h"
#include "tollgate/v1/validation_service.pb.h"

namespace tollgate::validator {

// Pure, bounded. Not thread-safe. An error means that the holder has lost count, or does not read;
// the stream then ends.
class Holder {
 public:
  // Opened, where `verdict` is set; else Ended.
  struct Message {
    uint64_t hold_id = 0;
    tollgate::v1::VerdictReason reason = tollgate::v1::VERDICT_REASON_UNSPECIFIED;
    std::unique_ptr<tollgate::v1::ValidateResponse> verdict;
  };

  // ---- What it says. `holds`: how many places it has.
  // How it is called, in receipts and logs. INVALID_ARGUMENT HELLO_NOT_FIRST; HOLDER_MALFORMED;
  // CONTAINS_TOKEN_STRING.
  absl::Status TakeHello(absl::string_view name);
  // INVALID_ARGUMENT HOLD_ID_NOT_GROWING; UNAVAILABLE TOO_SLOW.
  absl::Status TakeOpen(uint64_t hold_id, size_t holds);
  // INVALID_ARGUMENT RENEW_OUT_OF_SEQUENCE. A Renew that was not answered before the next one came
  // is answered by that one's GoodFor, which runs from later.
  absl::Status TakeRenew(uint64_t sequence);
  // INVALID_ARGUMENT HOLD_ID_UNKNOWN.
  absl::Status TakeClosed(uint64_t hold_id);
  // `unnamed` where it said no Hello.
  const std::string& name() const { return name_; }

  // ---- What it is told.
  void Say(Message message);
  // The next message; none: a Renew may be to be answered (NextRenewed), or nothing.
  absl::optional<Message> NextMessage();
  // The sequence of the Renew that a GoodFor is to answer now.
  absl::optional<uint64_t> NextRenewed();
  // It will read nothing any more.
  void Forget();

 private:
  std::string name_ = "unnamed";
  bool spoken_ = false;           // it has said anything
  std::deque<Message> messages_;  // not written yet
  size_t unread_bytes_ = 0;       // of the verdicts among them
  uint64_t last_id_ = 0;
  uint64_t renewed_ = 0;     // the sequence of the last Renew
  bool unanswered_ = false;  // that Renew
};

}  // namespace tollgate::validator

#endif  // TOLLGATE_VALIDATOR_CORE_HOLDER_H_
