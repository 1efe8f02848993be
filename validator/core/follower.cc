#include "validator/core/follower.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/mutation.h"
#include "base/proto_time.h"
#include "lease/limits.h"
#include "lease/span.h"

namespace tollgate::validator {
namespace {

using tollgate::v1::Event;
using tollgate::v1::FollowResponse;

// Bounds the memory that a faulty service can cost.
constexpr size_t kMostPings = 128;

// How often the terms of answers may make it connect before its time.
constexpr size_t kMostHastened = 4;
// Over how long the edges that hear of the same restart spread their connecting: longer than the
// handshakes of a few hundred of them, and hardly felt by the question that waits for it.
constexpr absl::Duration kHastenedSpread = absl::Milliseconds(50);

// News of holds come in bursts: a ping tells of all of them that came within so long of the last
// one.
constexpr absl::Duration kNewsPause = absl::Milliseconds(200);

// How soon a misconfigured service is tried again.
constexpr absl::Duration kMisconfiguredRetry = absl::Seconds(30);

// How long after a GoAway that refuses the service may take to say why, as the status of the
// stream: both leave it together.
constexpr absl::Duration kRefusalPatience = absl::Seconds(2);

// The interval that the service asked for, or `otherwise`, within sane limits.
absl::Duration Interval(bool set, const google::protobuf::Duration& asked,
                        absl::Duration otherwise) {
  const absl::Duration d = set ? base::FromProto(asked) : absl::ZeroDuration();
  if (d <= absl::ZeroDuration()) return otherwise;
  return std::clamp(d, absl::Milliseconds(20), absl::Minutes(10));
}

}  // namespace

Follower::Follower(FollowerOptions options, FollowedState* state, Outbox* outbox,
                   base::Random* random)
    : options_(std::move(options)),
      state_(state),
      outbox_(outbox),
      random_(random),
      proof_(options_.proof) {}

FollowerStatus Follower::status() const {
  FollowerStatus s;
  s.phase = phase_;
  s.epoch = epoch_;
  s.applied_revision = applied_;
  s.ping_interval = ping_interval_;
  s.streams = streams_;
  s.resets = resets_;
  s.unknown_events = unknown_events_;
  s.heard_at = last_heard_;
  return s;
}

FollowerActions& Follower::WithWake(FollowerActions& actions) const {
  switch (phase_) {
    case Phase::kWaiting:
      actions.wake_at = connect_at_;
      break;
    case Phase::kConnecting:
    case Phase::kGreeting:
      actions.wake_at = connected_at_ + options_.welcome_timeout;
      break;
    case Phase::kFollowing:
      actions.wake_at = std::min(
          {next_ping_, next_usage_, heard_at_ + ping_interval_ * options_.silent_intervals});
      if (state_->HoldsHaveNews()) actions.wake_at = std::min(actions.wake_at, news_ping_);
      break;
    case Phase::kClosing:
      actions.wake_at = refused_by_;
      break;
    case Phase::kGone:
      actions.wake_at = base::BootTime::InfiniteFuture();
      break;
  }
  return actions;
}

FollowerActions Follower::Start(base::BootTime now) {
  connect_at_ = now;
  last_heard_ = now;
  return OnTick(now, absl::InfinitePast());
}

FollowerActions Follower::OnTick(base::BootTime now, absl::Time wall_now) {
  FollowerActions actions;
  switch (phase_) {
    case Phase::kWaiting:
      if (now < connect_at_) break;
      phase_ = Phase::kConnecting;
      connected_at_ = now;
      heard_at_ = now;
      ++streams_;
      actions.connect = true;
      actions.stream = ++stream_;
      break;
    case Phase::kConnecting:
    case Phase::kGreeting:
      if (now >= connected_at_ + options_.welcome_timeout) GiveUp("no Welcome in time", &actions);
      break;
    case Phase::kFollowing:
      if (now >= heard_at_ + ping_interval_ * options_.silent_intervals) {
        GiveUp("no Pong in time: the stream is half-open", &actions);
        break;
      }
      if (now >= next_usage_) {
        next_usage_ = now + usage_interval_;
        if (!outbox_->report_is_out()) SendUsage(now, &actions);
        // The Pong to this ping confirms that the service has read the report before it.
        SendPing(now, wall_now, &actions);
      } else if (now >= next_ping_ || (now >= news_ping_ && state_->HoldsHaveNews())) {
        SendPing(now, wall_now, &actions);
      }
      break;
    case Phase::kClosing:
      if (now < refused_by_) break;
      actions.misconfigured = true;
      actions.reason = "OTHER_HISTORY";
      GiveUp(
          "the service does not know the history that this validator follows; its log says more. "
          "Nothing is admitted once the lease has run out",
          &actions);
      break;
    case Phase::kGone:
      break;
  }
  return WithWake(actions);
}

FollowerActions Follower::OnConnected(uint64_t stream, base::BootTime now) {
  FollowerActions actions;
  if (stream == stream_ && phase_ == Phase::kConnecting) {
    phase_ = Phase::kGreeting;
    auto* hello = actions.send.emplace_back().mutable_hello();
    hello->set_validator_id(options_.validator_id);
    hello->set_incarnation(options_.incarnation);
    // R11: the resume is at applied + 1; a revision of which only a part has come is not applied.
    hello->set_epoch(epoch_);
    hello->set_applied_revision(applied_);
    hello->set_stale_policy(options_.stale_policy);
    if (options_.stale_policy == tollgate::v1::STALE_POLICY_FAIL_OPEN) {
      *hello->mutable_fail_open_for() = base::ToProto(options_.fail_open_for);
    }
    if (options_.holds_outlive_lease > absl::ZeroDuration()) {
      *hello->mutable_holds_outlive_lease() = base::ToProto(options_.holds_outlive_lease);
    }
    hello->set_version(options_.version);
    hello->set_brand(options_.brand);
    if (proof_.has_value() && !TOLLGATE_MUTATED("r19_no_proof")) *hello->mutable_proof() = *proof_;
    // What is held may be of a later revision than what is applied, and the proof says nothing of
    // it.
    if (answered_ > applied_ && !TOLLGATE_MUTATED("r19_answers_unproven")) {
      hello->set_answered_revision(answered_);
      hello->set_answered_term(answered_term_);
    }
    hello_answered_ = answered_;
    connected_at_ = now;
    heard_at_ = now;
  }
  return WithWake(actions);
}

FollowerActions Follower::OnDisconnected(uint64_t stream, base::BootTime now) {
  FollowerActions actions;
  if (stream != stream_ || phase_ == Phase::kWaiting || phase_ == Phase::kGone) {
    return WithWake(actions);
  }
  // A stream is stable when it was answered for a while. A shorter one counts as a failure, so that
  // a service that lets validators in and throws them out is not hammered.
  if (heard_at_ - connected_at_ >= options_.stable_after) {
    failures_ = 0;
    hastened_by_.clear();
  }
  ++failures_;
  ForgetStream();
  phase_ = Phase::kWaiting;
  connect_at_ = std::max(now + Backoff(), retry_after_);
  return WithWake(actions);
}

void Follower::HeardOfTerm(const std::string& term, base::BootTime now) {
  // A service that asked to be left alone meanwhile is.
  const base::BootTime earliest = std::max(now, retry_after_);
  if (phase_ != Phase::kWaiting || earliest >= connect_at_) return;
  if (hastened_by_.size() >= kMostHastened ||
      std::find(hastened_by_.begin(), hastened_by_.end(), term) != hastened_by_.end()) {
    return;
  }
  hastened_by_.push_back(term);
  connect_at_ = std::min(connect_at_, earliest + kHastenedSpread * random_->UniformReal());
}

void Follower::ForgetStream() {
  // A Pong answers a ping of its own stream only, because the numbers start again with the next
  // stream (R1).
  pings_.clear();
  sequence_ = 0;
  // The part that has come is only dropped; the resume brings the whole revision.
  open_revision_ = 0;
  outbox_->StreamEnded();
  state_->StreamEnded();
}

absl::Duration Follower::Backoff() {
  const int doublings = std::clamp(failures_ - 1, 0, 20);
  const absl::Duration cap =
      std::min(options_.backoff_first * static_cast<int64_t>(int64_t{1} << doublings),
               options_.backoff_longest);
  return cap * random_->UniformReal();  // full jitter
}

void Follower::GiveUp(absl::string_view why, FollowerActions* actions) {
  phase_ = Phase::kClosing;
  refused_by_ = base::BootTime::InfiniteFuture();
  actions->disconnect = true;
  actions->stream = stream_;
  actions->why = std::string(why);
}

FollowerActions Follower::OnMessage(uint64_t stream, const FollowResponse& message,
                                    base::BootTime now, absl::Time wall_now) {
  FollowerActions actions;
  if (stream != stream_ || (phase_ != Phase::kGreeting && phase_ != Phase::kFollowing)) {
    return WithWake(actions);
  }
  last_heard_ = now;
  switch (message.message_case()) {
    case FollowResponse::kWelcome:
      OnWelcome(message.welcome(), now, wall_now, &actions);
      break;
    case FollowResponse::kGoAway:
      OnGoAway(message.go_away(), now, &actions);
      break;
    case FollowResponse::kEvents:
      if (phase_ == Phase::kGreeting) {
        GiveUp("events before the Welcome", &actions);
      } else {
        OnEvents(message.events(), now, wall_now, &actions);
      }
      break;
    case FollowResponse::kPong:
      if (phase_ == Phase::kGreeting) {
        GiveUp("a Pong before the Welcome", &actions);
      } else {
        OnPong(message.pong(), now, wall_now, &actions);
      }
      break;
    case FollowResponse::MESSAGE_NOT_SET:
      // A kind of message newer than this build. It may have been about anything, at a revision
      // that this build cannot read. So nothing held is right any more, and only a reset tells from
      // where to go on.
      ++unknown_events_;
      ForgetEpoch();
      GiveUp("a message of an unknown kind", &actions);
      break;
  }
  return WithWake(actions);
}

void Follower::ForgetEpoch() {
  state_->EndLease();
  state_->DropAll(applied_);
  if (!epoch_.empty()) {
    // Where the service turns out to be still in that epoch, the evidence lost with it is reported
    // as lost.
    forgotten_epoch_ = epoch_;
    forgotten_from_ = outbox_->FirstUntold(applied_ + 1);
  }
  epoch_.clear();
  applied_ = 0;
  outbox_->ForgetEvidence();
}

void Follower::OnWelcome(const tollgate::v1::Welcome& welcome, base::BootTime now,
                         absl::Time wall_now, FollowerActions* actions) {
  if (phase_ != Phase::kGreeting) return GiveUp("a second Welcome", actions);
  if (welcome.epoch().empty() || welcome.revision() < 0) {
    return GiveUp("a Welcome without an epoch or a revision", actions);
  }
  // A Welcome of a service too old to name its brand counts as one of ours.
  const bool agreed = welcome.brand().empty() || welcome.brand() == options_.brand ||
                      TOLLGATE_MUTATED("i7_brand_ignored");
  state_->BrandAgreed(agreed);
  if (!agreed) {
    // I7: every good token would be called malformed here.
    ForgetEpoch();
    retry_after_ = now + kMisconfiguredRetry;
    actions->misconfigured = true;
    actions->reason = "BRAND_DIFFERS";
    return GiveUp("the service's token strings begin with \"" + welcome.brand() +
                      "\", and this validator looks for \"" + options_.brand +
                      "\": nothing is admitted. Start it with --brand " + welcome.brand(),
                  actions);
  }
  if (welcome.reset()) {
    // The lease survives a reset within the same history, because the ledger still counts this
    // incarnation (R3). It does not survive a change of history, because the new one may not know
    // of the lease (R11, R17).
    int64_t unseen_from = applied_ + 1;
    if (welcome.epoch() != epoch_ || welcome.revision() < applied_) {
      state_->EndLease();
      outbox_->ForgetEvidence();
      unseen_from = welcome.epoch() == forgotten_epoch_ ? forgotten_from_ : 0;
    }
    forgotten_epoch_.clear();
    // No event told what was dropped, so no evidence was given of it; yet the reset acknowledges
    // it.
    if (unseen_from > 0 && unseen_from <= welcome.revision()) {
      outbox_->LoseEvidence(unseen_from, welcome.revision());
    }
    epoch_ = welcome.epoch();
    applied_ = welcome.revision();
    ++resets_;
    // What it proved is behind us: the service has judged it.
    proof_.reset();
    answered_ = 0;
    answered_term_.clear();
    state_->Reset(epoch_, applied_);
  } else if (epoch_.empty() || welcome.epoch() != epoch_) {
    // R2, R11: only a follower that was there before, in the same history, may go on.
    ForgetEpoch();
    return GiveUp("a Welcome into another epoch without a reset", actions);
  } else if (welcome.term() != term_ && answered_ > hello_answered_) {
    // The service has not judged it. The next Hello has it.
    return GiveUp("an answer of the term before came between Hello and Welcome", actions);
  }
  term_ = welcome.term();
  if (welcome.has_proof()) TakeProof(welcome.proof());
  // Without a reset the Welcome's revision moves nothing: events up to it may still be on their way
  // (R2).
  if (TOLLGATE_MUTATED("r2_welcome_moves")) applied_ = std::max(applied_, welcome.revision());
  phase_ = Phase::kFollowing;
  heard_at_ = now;
  ping_interval_ = Interval(welcome.has_ping_interval(), welcome.ping_interval(), absl::Seconds(5));
  usage_interval_ =
      Interval(welcome.has_usage_interval(), welcome.usage_interval(), absl::Seconds(10));
  if (TOLLGATE_MUTATED("r2_welcome_grants")) {
    HoldLease({0, now, wall_now}, ping_interval_ * 5, now, wall_now);
  }
  // Spread over the interval, so that a fleet that came back at once does not report at once.
  next_usage_ = now + usage_interval_ * random_->UniformReal();
  SendPing(now, wall_now, actions);
}

void Follower::OnAnswerHeld(int64_t revision) {
  if (revision <= answered_) return;
  answered_ = revision;
  answered_term_ = term_;
}

void Follower::TakeProof(const tollgate::v1::Proof& proof) {
  if (proof.epoch() != epoch_ || proof.revision() != applied_) return;
  proof_ = proof;
  if (options_.keeper != nullptr) options_.keeper->Keep(proof);
}

void Follower::DropOne(int64_t revision, const Event& event) {
  bool complete = false;
  switch (event.subject_case()) {
    case Event::kTokenChanged:
      complete = !event.token_changed().token_id().empty();
      break;
    case Event::kTokenCreated:
      complete = !event.token_created().token_id().empty();
      break;
    case Event::kCohortRevoked:
      complete = !event.cohort_revoked().workspace().empty();
      break;
    case Event::kWorkspaceChanged:
      complete = !event.workspace_changed().workspace().empty();
      break;
    case Event::kAccessChanged:
      complete = true;
      break;
    case Event::SUBJECT_NOT_SET:
      break;
  }
  if (complete) {
    state_->Drop(revision, event);
  } else if (!TOLLGATE_MUTATED("unknown_event_skipped")) {
    // A kind of event newer than this build: it may be about anything. It is never skipped, and
    // never fatal.
    ++unknown_events_;
    state_->DropAll(revision);
    if (revision > 0) outbox_->LoseEvidence(revision, revision);
  }
}

void Follower::OnEvents(const tollgate::v1::Events& events, base::BootTime now, absl::Time wall_now,
                        FollowerActions* actions) {
  bool moved = false;
  for (const auto& part : events.revisions()) {
    const int64_t revision = part.revision();
    if (open_revision_ != 0 && revision != open_revision_ && revision > applied_) {
      // The last part of the open revision will not come any more, so begin again after applied.
      return GiveUp("a revision was left open", actions);
    }
    // A drop is always right, even twice (R10): events at or below applied are dropped again, and
    // move nothing.
    for (const Event& event : part.events()) DropOne(revision, event);
    if (revision <= applied_) continue;
    if (part.partial() && !TOLLGATE_MUTATED("r8_applied_at_first_part")) {
      open_revision_ = revision;
    } else {
      open_revision_ = 0;
      applied_ = revision;  // R8: after its last event
      moved = true;
    }
  }
  // R19: before the acknowledgement, so that what was acknowledged can be proven.
  if (moved && events.has_proof()) TakeProof(events.proof());
  // R10: the ping is the acknowledgement; one for all that this message brought.
  if (moved) SendPing(now, wall_now, actions);
}

void Follower::OnPong(const tollgate::v1::Pong& pong, base::BootTime now, absl::Time wall_now,
                      FollowerActions* actions) {
  if (pong.sequence() == 0 || pong.sequence() > sequence_) {
    return GiveUp("a Pong to a ping that was never sent", actions);
  }
  heard_at_ = now;
  // Pongs come in order, so the Pong to an older ping will not come any more.
  while (!pings_.empty() && pings_.front().sequence < pong.sequence()) pings_.pop_front();

  // R8: moves over commits without events; never back, and never over a revision of which a part is
  // missing.
  const bool open = open_revision_ != 0 && pong.revision() >= open_revision_;
  applied_ = std::max(applied_, open ? open_revision_ - 1 : pong.revision());

  if (pong.has_proof()) TakeProof(pong.proof());
  if (pong.has_service_time() && base::IsValid(pong.service_time())) {
    const bool known = !pings_.empty() && pings_.front().sequence == pong.sequence();
    state_->SetServiceTime(base::FromProto(pong.service_time()),
                           known ? now - pings_.front().boot : absl::InfiniteDuration(), now);
  }
  outbox_->Arrived(pong.sequence());

  if (pings_.empty() || pings_.front().sequence != pong.sequence()) return;  // granted once (R1)
  const SentPing ping =
      TOLLGATE_MUTATED("r1_from_pong") ? SentPing{pong.sequence(), now, wall_now} : pings_.front();
  pings_.pop_front();
  const absl::Duration lease =
      pong.has_lease() ? base::FromProto(pong.lease()) : absl::ZeroDuration();
  // A Pong that claims a revision of which a part is missing here would grant past an event (R9).
  if (lease > absl::ZeroDuration() && !open) HoldLease(ping, lease, now, wall_now);
}

void Follower::HoldLease(const SentPing& ping, absl::Duration length, base::BootTime now,
                         absl::Time wall_now) {
  // R1: the lease runs from when the ping was handed out to be written, less what the clocks may
  // drift apart.
  const double drift = TOLLGATE_MUTATED("r1_no_drift") ? 0 : options_.drift_bound;
  state_->LeaseGranted(lease::HoldFrom(ping.boot, ping.wall, length, drift), now, wall_now);
}

void Follower::OnGoAway(const tollgate::v1::GoAway& go_away, base::BootTime now,
                        FollowerActions* actions) {
  const absl::Duration asked = go_away.has_retry_after()
                                   ? std::clamp(base::FromProto(go_away.retry_after()),
                                                absl::ZeroDuration(), absl::Minutes(1))
                                   : absl::ZeroDuration();
  // No sooner than asked, and not the whole fleet at that moment.
  retry_after_ = now + asked * (1 + random_->UniformReal());
  GiveUp(absl::StrCat("GoAway: ", go_away.reason()), actions);
  if (go_away.reason() == "other_history") {
    // The status that ends the stream says what is wrong and what mends it. To cancel would race
    // with it, and mostly win.
    actions->disconnect = false;
    refused_by_ = now + kRefusalPatience;
  }
}

void Follower::SendPing(base::BootTime now, absl::Time wall_now, FollowerActions* actions) {
  // R10: the revision that is applied, not one that is on its way.
  const int64_t applied =
      TOLLGATE_MUTATED("r10_acknowledges_open") ? question_revision() : applied_;
  tollgate::v1::Ping counts;
  state_->FillCounts(&counts);
  bool more = true;
  while (more) {
    tollgate::v1::Ping* ping = actions->send.emplace_back().mutable_ping();
    *ping = counts;
    *ping->mutable_wall_time() = base::ToProto(wall_now);  // for the service to compare (R20)
    ping->set_sequence(++sequence_);
    more = outbox_->FillPing(sequence_, applied, ping);
    more = state_->FillHolds(ping) || more;
    // A ping above the bound is still an acknowledgement; only its Pong grants nothing. The newest
    // ping is forgotten rather than the oldest, so that some Pong grants, however far behind the
    // service is.
    if (pings_.size() < kMostPings) pings_.push_back(SentPing{sequence_, now, wall_now});
  }
  next_ping_ = now + ping_interval_;
  news_ping_ = now + kNewsPause;
}

void Follower::SendUsage(base::BootTime now, FollowerActions* actions) {
  for (tollgate::v1::Usage& usage : outbox_->TakeUsage(state_->CollectUse(now))) {
    *actions->send.emplace_back().mutable_usage() = std::move(usage);
  }
}

FollowerActions Follower::Goodbye(base::BootTime now, absl::Time wall_now, bool held) {
  FollowerActions actions;
  if (phase_ == Phase::kGone) return WithWake(actions);
  // R4: closed before the goodbye is handed out; from here on nothing that arrives has any effect.
  if (!TOLLGATE_MUTATED("r4_open_after_goodbye")) state_->Close();
  if (phase_ == Phase::kFollowing || phase_ == Phase::kGreeting) {
    // Also before the Welcome: otherwise the use since the previous stream would never be reported.
    SendUsage(now, &actions);
    // Sends the last evidence. No ping may come before the Welcome.
    if (phase_ == Phase::kFollowing) SendPing(now, wall_now, &actions);
    if (!held) actions.send.emplace_back().mutable_goodbye();
    actions.finish = true;
    actions.stream = stream_;
  } else if (phase_ == Phase::kConnecting || phase_ == Phase::kClosing) {
    actions.disconnect = true;
    actions.stream = stream_;
    actions.why = "goodbye";
  }
  phase_ = Phase::kGone;
  return WithWake(actions);
}

}  // namespace tollgate::validator
