#include "validator/core/holder.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "token/field_rules.h"

namespace tollgate::validator {
namespace {

// What a holder may leave unread: messages beside two for each of its holds, and bytes of verdicts.
constexpr size_t kMostUnreadRefusals = 1024;
constexpr size_t kMostUnreadBytes = 1 << 20;
constexpr size_t kMostUnreadBytesOfAHold = 512;

}  // namespace

absl::Status Holder::TakeHello(absl::string_view name) {
  if (std::exchange(spoken_, true)) {
    return base::RefuseField("HELLO_NOT_FIRST", "hello", "comes once, as the first message");
  }
  // A holder is called as a validator is.
  const absl::Status good = token::CheckValidatorId(name, "hello.holder");
  if (base::ReasonOf(good) == "VALIDATOR_ID_MALFORMED") {
    return base::RefuseField("HOLDER_MALFORMED", "hello.holder",
                             "must be 1 to 128 of A-Z a-z 0-9 . _ / -, as in chat/web-7");
  }
  RETURN_IF_ERROR(good);
  name_ = std::string(name);
  return absl::OkStatus();
}

absl::Status Holder::TakeOpen(uint64_t hold_id, size_t holds) {
  spoken_ = true;
  if (hold_id <= last_id_) {
    return base::RefuseField(
        "HOLD_ID_NOT_GROWING", "open.hold_id",
        absl::StrCat("must be above ", last_id_, ", the id of the last Open on this stream"));
  }
  last_id_ = hold_id;
  if (messages_.size() > 2 * holds + kMostUnreadRefusals ||
      unread_bytes_ > kMostUnreadBytes + kMostUnreadBytesOfAHold * holds) {
    return base::Refuse(absl::StatusCode::kUnavailable, "TOO_SLOW",
                        "The holder does not read what it is told.");
  }
  return absl::OkStatus();
}

absl::Status Holder::TakeRenew(uint64_t sequence) {
  spoken_ = true;
  if (sequence != renewed_ + 1) {
    return base::RefuseField("RENEW_OUT_OF_SEQUENCE", "renew.sequence",
                             absl::StrCat("must be ", renewed_ + 1));
  }
  renewed_ = sequence;
  unanswered_ = true;
  return absl::OkStatus();
}

absl::Status Holder::TakeClosed(uint64_t hold_id) {
  spoken_ = true;
  if (hold_id == 0 || hold_id > last_id_) {
    return base::RefuseField("HOLD_ID_UNKNOWN", "closed.hold_id",
                             "no Open with this id was sent on this stream");
  }
  return absl::OkStatus();
}

void Holder::Say(Message message) {
  if (message.verdict != nullptr) unread_bytes_ += message.verdict->ByteSizeLong();
  messages_.push_back(std::move(message));
}

absl::optional<Holder::Message> Holder::NextMessage() {
  if (messages_.empty()) return absl::nullopt;
  Message message = std::move(messages_.front());
  messages_.pop_front();
  if (message.verdict != nullptr) unread_bytes_ -= message.verdict->ByteSizeLong();
  return message;
}

absl::optional<uint64_t> Holder::NextRenewed() {
  if (!std::exchange(unanswered_, false)) return absl::nullopt;
  return renewed_;
}

void Holder::Forget() {
  messages_.clear();
  unread_bytes_ = 0;
  unanswered_ = false;
}

}  // namespace tollgate::validator
