// What a client may send up a stream, in any order, with time, commits and the store's answers in
// between: the service's end never acknowledges or leases what was not sent (R2, R8, R10), keeps to
// the protocol, and ends a bad stream with a status.
//
// Input: records of one byte of kind and, for a message, two bytes of length and its bytes.
#include <algorithm>
#include <memory>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/proto_time.h"
#include "base/secret.h"
#include "base/status.h"
#include "lease/limits.h"
#include "lease/proof.h"
#include "service/feed/event_ring.h"
#include "service/feed/follower_stream_state.h"
#include "tests/fuzz/fuzz.h"
#include "tollgate/v1/edge_service.pb.h"

namespace tollgate::fuzz {
namespace {

using service::FollowerStreamState;
using Kind = FollowerStreamState::Output::Kind;
using Received = FollowerStreamState::Received;

constexpr char kEpoch[] = "0123456789abcdef0123456789abcdef";
constexpr absl::Duration kLease = absl::Seconds(30);

std::string FingerprintOf(int64_t revision) {
  std::string fingerprint(lease::kFingerprintBytes, 'f');
  const std::string number = std::to_string(revision);
  return fingerprint.replace(0, number.size(), number);
}

// Grants what it is asked for, or what the input says, and notes what it was told.
class NotedLessor : public service::Lessor {
 public:
  bool BindCaller(const lease::SessionId& key, absl::string_view) override {
    FUZZ_CLAIM(!key.validator_id.empty() && key.incarnation.size() == lease::kIncarnationBytes);
    return binds;
  }
  void Acknowledge(const lease::SessionId&, int64_t revision, const v1::Ping&) override {
    ++acknowledged;
    newest_acknowledged = revision;
  }
  service::LeaseAnswer GrantLease(const lease::SessionId&, int64_t revision) override {
    ++asked;
    asked_at = revision;
    return {outcome == service::LeaseOutcome::kGranted ? kLease : absl::ZeroDuration(), outcome};
  }

  bool binds = true;
  service::LeaseOutcome outcome = service::LeaseOutcome::kGranted;
  int acknowledged = 0;
  int64_t newest_acknowledged = 0;
  int asked = 0;
  int64_t asked_at = 0;
};

class Driver {
 public:
  Driver()
      : history_(MakeHistory()),
        proofs_(history_, std::make_shared<const lease::Sealer>(base::SecretBytes::CopyOf(
                              std::string(lease::kSealingKeyBytes, 'k')))),
        ring_(RingOptions(), /*floor=*/2),
        stream_(StreamOptions(), &ring_, &lessor_, now_) {
    for (int i = 0; i < 3; ++i) Commit(i);
  }

  void Do(absl::string_view input) {
    while (!input.empty()) {
      const auto kind = static_cast<uint8_t>(input[0]);
      input.remove_prefix(1);
      const int more = kind / 12;  // up to 21
      switch (kind % 12) {
        case 0:
          now_ = now_ + absl::Milliseconds(100 * more);
          break;
        case 1:
          now_ = now_ + absl::Seconds(10 * more);
          break;
        case 2:
          Commit(more);
          break;
        case 3:
          lessor_.outcome = static_cast<service::LeaseOutcome>(more % 10);
          break;
        case 4:
          // The Hello of one of ours, which has applied everything up to there.
          Receive(OurHello(more));
          break;
        case 5:
          AnswerCatchUp(more);
          break;
        case 6:
          AnswerProof(more);
          break;
        case 7:
          if (more == 1) stream_.ReadsDone();
          if (more == 2) stream_.GoAway("drain", absl::Seconds(1));
          if (more == 3) lessor_.binds = false;
          break;
        case 8: {
          v1::FollowRequest ping;
          ping.mutable_ping()->set_sequence(++sequence_);
          ping.mutable_ping()->set_applied_revision(more);
          Receive(ping);
          break;
        }
        default:
          Message(&input);
      }
      Turn();
    }
  }

 private:
  static service::History MakeHistory() {
    service::History history;
    history.store_id = "store";
    history.epoch = kEpoch;
    history.past_epochs = {"before"};
    store::v1::TermRecord term;
    term.set_term("term-1");
    term.set_from_revision(1);
    history.terms.push_back(term);
    return history;
  }
  service::EventRing::Options RingOptions() {
    service::EventRing::Options options;
    options.max_revisions = 8;
    options.max_part_bytes = 64;
    options.max_fingerprints = 4;
    options.proofs = &proofs_;
    return options;
  }
  FollowerStreamState::Options StreamOptions() {
    FollowerStreamState::Options options;
    options.history = &history_;
    options.proofs = &proofs_;
    options.brand = "tg";
    options.max_message_bytes = 512;
    return options;
  }

  void Commit(int events) {
    storage::TailEntry entry;
    entry.revision = ring_.head() + 1;
    entry.fingerprint = FingerprintOf(entry.revision);
    for (int i = 0; i < events; ++i) {
      entry.events.add_events()->mutable_cohort_revoked()->set_owner(std::string(10, 'o'));
    }
    FUZZ_CLAIM(ring_.Append(entry));
  }

  v1::FollowRequest OurHello(int64_t applied) const {
    v1::FollowRequest request;
    v1::Hello& hello = *request.mutable_hello();
    hello.set_validator_id("payments/edge-3");
    hello.set_incarnation(std::string(lease::kIncarnationBytes, 'i'));
    hello.set_epoch(kEpoch);
    hello.set_applied_revision(applied);
    if (const auto proof = proofs_.ProofOf(applied, FingerprintOf(applied))) {
      *hello.mutable_proof() = *proof;
    }
    return request;
  }

  void Message(absl::string_view* input) {
    absl::string_view bytes;
    if (!TakePiece(input, &bytes)) return;
    v1::FollowRequest message;
    if (!message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return;
    Receive(message);
  }

  void Receive(const v1::FollowRequest& message) {
    const int acknowledged = lessor_.acknowledged;
    const bool greeted = stream_.greeted();
    const Received received = stream_.Receive(message, now_);
    if (lessor_.acknowledged > acknowledged) {
      FUZZ_CLAIM(message.has_ping() && greeted && welcomed_ && !finished_);
      FUZZ_CLAIM(lessor_.acknowledged == acknowledged + 1);
      // R10: never above what was sent, whatever the client says.
      FUZZ_CLAIM(lessor_.newest_acknowledged <= stream_.sent());
      FUZZ_CLAIM(lessor_.newest_acknowledged <= ring_.head());
      // After a reset it is nothing, or of what came since.
      FUZZ_CLAIM(lessor_.newest_acknowledged == 0 || !reset_ ||
                 lessor_.newest_acknowledged >= reset_at_);
    }
    if (received == Received::kHello) FUZZ_CLAIM(message.has_hello() && !greeted);
    if (received == Received::kGoodbye) FUZZ_CLAIM(message.has_goodbye() && greeted);
    if (received == Received::kUsage) FUZZ_CLAIM(message.has_usage() && greeted);
    Took(received);
  }

  void Took(Received received) {
    if (received == Received::kHello) {
      FUZZ_CLAIM(stream_.greeted());
      FUZZ_CLAIM(stream_.session().validator_id == stream_.hello().validator_id());
      stream_.Registered();
    }
    const bool turned_away = received == Received::kForked || received == Received::kStranger;
    if (turned_away) {
      FUZZ_CLAIM(!stream_.greeted() && !stream_.refusal().ok());
      FUZZ_CLAIM(!base::ReasonOf(stream_.refusal()).empty());
      // Only a true proof of ours stops the service.
      FUZZ_CLAIM(received != Received::kForked || proofs_.IsSealed(stream_.hello().proof()));
    }
    refused_ |= turned_away || received == Received::kRefused;
  }

  void AnswerCatchUp(int more) {
    if (!catching_up_) return;
    catching_up_ = false;
    service::CatchUp answer;
    answer.state = static_cast<service::CatchUp::State>(more % 3);
    if (answer.state == service::CatchUp::State::kOk) {
      // The store has everything; one read of it a part.
      answer.complete_to = std::min<int64_t>(ring_.head(), catch_up_after_ + 1 + more);
      for (int64_t revision = catch_up_after_ + 1; revision <= answer.complete_to; ++revision) {
        if (revision % 2 == 0) continue;  // it has no events
        v1::RevisionEvents events;
        events.set_revision(revision);
        for (int i = 0; i < more % 8 + 1; ++i) {
          events.add_events()->mutable_cohort_revoked()->set_owner(std::string(10, 'o'));
        }
        answer.revisions.push_back(
            service::MakeFeedRevision(events, RingOptions().max_part_bytes, /*proof=*/nullptr));
      }
    }
    stream_.CaughtUp(std::move(answer));
  }

  void AnswerProof(int more) {
    if (!proving_) return;
    proving_ = false;
    if (more == 20) return stream_.ProveFailed();
    service::KnownFingerprint known;
    known.state = static_cast<service::KnownFingerprint::State>(more % 3);
    known.value = FingerprintOf(prove_at_);
    Took(stream_.Proved(known));
  }

  // All that the stream has to say now.
  void Turn() {
    for (int i = 0; i < 1000; ++i) {
      const int asked = lessor_.asked;
      const FollowerStreamState::Output output =
          stream_.Next(now_, absl::FromUnixSeconds(1'700'000'000));
      FUZZ_CLAIM(!finished_ || output.kind == Kind::kNothing);
      FUZZ_CLAIM(stream_.sent() <= std::max(ring_.head(), stream_.hello().applied_revision()));
      // R2: a lease is asked for only where a ping has acknowledged, once welcomed.
      FUZZ_CLAIM(lessor_.asked == asked || (lessor_.acknowledged > answered_ && welcomed_));
      switch (output.kind) {
        case Kind::kNothing:
          FUZZ_CLAIM(stream_.NextTick() > now_ || finished_ || proving_ || catching_up_ ||
                     !stream_.greeted() || lessor_.asked > asked);
          return;
        case Kind::kWrite:
          Wrote(output);
          break;
        case Kind::kCatchUp:
          FUZZ_CLAIM(!catching_up_);
          catching_up_ = true;
          catch_up_after_ = output.after;
          break;
        case Kind::kProve:
          FUZZ_CLAIM(!proving_ && !stream_.greeted());
          proving_ = true;
          prove_at_ = output.after;
          break;
        case Kind::kFinish:
          FUZZ_CLAIM(!refused_ || !output.status.ok());
          FUZZ_CLAIM(output.status.ok() || !base::ReasonOf(output.status).empty());
          finished_ = true;
      }
    }
    FUZZ_CLAIM(!"it never has no more to say");
  }

  void Wrote(const FollowerStreamState::Output& output) {
    std::string bytes;
    for (const service::SharedBytes& piece : output.pieces) bytes += *piece;
    v1::FollowResponse message;
    FUZZ_CLAIM(message.ParseFromString(bytes));
    FUZZ_CLAIM(!sent_away_);
    switch (message.message_case()) {
      case v1::FollowResponse::kWelcome:
        FUZZ_CLAIM(!welcomed_ && stream_.greeted() &&
                   stream_.resumes() == !message.welcome().reset());
        welcomed_ = true;
        reset_ = message.welcome().reset();
        reset_at_ = message.welcome().revision();
        told_ = reset_ ? reset_at_ : stream_.hello().applied_revision();
        FUZZ_CLAIM(told_ <= ring_.head());
        break;
      case v1::FollowResponse::kEvents:
        FUZZ_CLAIM(welcomed_);
        for (const v1::RevisionEvents& revision : message.events().revisions()) {
          FUZZ_CLAIM(revision.revision() > told_ && revision.revision() <= ring_.head());
          FUZZ_CLAIM(parted_ == 0 || revision.revision() == parted_);
          parted_ = revision.partial() ? revision.revision() : 0;
          if (parted_ == 0) told_ = revision.revision();
        }
        break;
      case v1::FollowResponse::kPong: {
        const v1::Pong& pong = message.pong();
        FUZZ_CLAIM(welcomed_ && parted_ == 0 && lessor_.acknowledged > answered_);
        answered_ = lessor_.acknowledged;
        // R8: it tells no revision whose events were not sent; those between have none.
        FUZZ_CLAIM(pong.revision() >= told_ && pong.revision() == stream_.sent());
        FUZZ_CLAIM(!pong.has_lease() || (lessor_.outcome == service::LeaseOutcome::kGranted &&
                                         base::FromProto(pong.lease()) == kLease &&
                                         lessor_.asked_at == pong.revision()));
        told_ = pong.revision();
        break;
      }
      case v1::FollowResponse::kGoAway:
        FUZZ_CLAIM(!message.go_away().reason().empty());
        sent_away_ = true;
        break;
      default:
        FUZZ_CLAIM(!"a message of no kind");
    }
  }

  const service::History history_;
  const service::ProofMaker proofs_;
  NotedLessor lessor_;
  base::BootTime now_ = base::BootTime::FromNanos(1'000'000'000);
  service::EventRing ring_;
  FollowerStreamState stream_;
  uint64_t sequence_ = 0;
  bool welcomed_ = false;
  bool reset_ = false;
  int64_t reset_at_ = 0;
  int64_t told_ = 0;    // what the client knows to have been sent
  int64_t parted_ = 0;  // a revision of which a part is out; 0: none
  int answered_ = 0;    // acknowledgements that had come at the last Pong
  bool catching_up_ = false;
  int64_t catch_up_after_ = 0;
  bool proving_ = false;
  int64_t prove_at_ = 0;
  bool refused_ = false;
  bool sent_away_ = false;
  bool finished_ = false;
};

}  // namespace
}  // namespace tollgate::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const bool started = [] {
    tollgate::base::InitSecrets();
    return true;
  }();
  (void)started;
  tollgate::fuzz::Driver().Do(absl::string_view(reinterpret_cast<const char*>(data), size));
  return 0;
}
