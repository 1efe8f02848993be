#include "service/feed/feed.h"

#include <algorithm>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/strings/str_cat.h"
#include "absl/types/optional.h"
#include "base/log.h"
#include "base/status.h"
#include "service/feed/follower_stream.h"
#include "service/feed/ledger/roster_command.h"
#include "service/feed/ping_interval.h"
#include "storage/schema.h"
#include "token/resource_name.h"

namespace tollgate::service {

using store::v1::HeadRecord;
using store::v1::MetaRecord;

namespace {

// How often every stream is checked.
constexpr absl::Duration kStreamTick = absl::Milliseconds(250);
constexpr absl::Duration kShortestTick = absl::Milliseconds(1);
// Revisions sized by one scan of the store at the start.
constexpr int64_t kPreloadedAtOnce = 64;
// A brand is at most 8 letters; what is longer is cut.
constexpr size_t kLongestBrandTold = 16;
constexpr absl::Duration kBetweenStrangerLines = absl::Seconds(10);

absl::StatusOr<MetaRecord> ReadMeta(const storage::View& view) {
  ASSIGN_OR_RETURN(absl::optional<MetaRecord> meta,
                   storage::GetRecord<MetaRecord>(view, storage::Table::kMeta, storage::kMetaKey));
  if (!meta.has_value()) return absl::DataLossError("the store has no meta record");
  return *std::move(meta);
}

// The revision after which the newest revisions fill a ring of `max_bytes`: at most `most` of them,
// and about as many as have room. What the ring would throw away again is not even read: a store
// into which tokens were brought by the thousand has megabytes in each revision.
absl::StatusOr<int64_t> PreloadFloor(const storage::View& view, const HeadRecord& head,
                                     int64_t most, size_t max_bytes) {
  const int64_t lowest = std::max(
      {int64_t{0}, head.compacted_revision(), head.revision() - std::max<int64_t>(0, most)});
  int64_t floor = head.revision();
  size_t bytes = 0;
  while (floor > lowest && bytes < max_bytes) {
    const int64_t next = std::max(lowest, floor - kPreloadedAtOnce);
    ASSIGN_OR_RETURN(const std::vector<storage::Entry> entries,
                     view.Scan(storage::Table::kEvents, storage::RevisionKey(next + 1),
                               storage::RevisionKey(floor + 1), kPreloadedAtOnce));
    for (const storage::Entry& entry : entries) bytes += entry.value.size();
    floor = next;
  }
  return floor;
}

absl::Status RefuseDraining() {
  return base::RefuseForNow("DRAINING", "refused: this service is about to stop", absl::Seconds(1));
}

}  // namespace

Feed::Feed(Options options, FeedScheduler* scheduler)
    : options_(std::move(options)),
      scheduler_(scheduler),
      next_stream_tick_(options_.clock->Now() + kStreamTick),
      next_fleet_review_(options_.clock->Now()),
      news_(options_.clock->Now()),
      shares_(options_.wake_shares) {}

Feed::~Feed() { Stop(); }

absl::StatusOr<Feed::FirstWrite> Feed::PrepareStart(const Options& options) {
  if (options.engine == nullptr || options.sequencer == nullptr || options.clock == nullptr ||
      options.random == nullptr) {
    return absl::InvalidArgumentError(
        "the feed needs an engine, a sequencer, a clock and a source of randomness");
  }
  ASSIGN_OR_RETURN(const std::unique_ptr<storage::Snapshot> snapshot,
                   options.engine->NewSnapshot());
  ASSIGN_OR_RETURN(const MetaRecord before, ReadMeta(*snapshot));
  FirstWrite write;
  // Raises the longest lease where this process's lease is longer (R5).
  write.command = std::make_shared<SetLongestLease>(options.lease, SetLongestLease::Mode::kRaise);
  write.longest_lease_before = absl::Microseconds(before.longest_lease_us());
  return write;
}

absl::StatusOr<std::unique_ptr<Feed>> Feed::Start(Options options, FeedScheduler* scheduler,
                                                  const FirstWrite& written) {
  std::unique_ptr<Feed> feed(new Feed(std::move(options), scheduler));
  RETURN_IF_ERROR(feed->Begin(written.longest_lease_before));
  return feed;
}

absl::Status Feed::Begin(absl::Duration longest_lease_before) {
  ASSIGN_OR_RETURN(std::unique_ptr<storage::Snapshot> snapshot, options_.engine->NewSnapshot());
  ASSIGN_OR_RETURN(const MetaRecord meta, ReadMeta(*snapshot));
  ASSIGN_OR_RETURN(const HeadRecord head, storage::ReadHead(*snapshot));
  ASSIGN_OR_RETURN(history_, ReadHistory(*snapshot));
  if (options_.sealer != nullptr) {
    proofs_ = std::make_unique<const ProofMaker>(history_, options_.sealer);
  }
  ledger_head_ = snapshot->revision();

  EnforcementLedger::Options ledger_options;
  ledger_options.epoch = history_.epoch;
  ledger_options.lease = options_.lease;
  ledger_options.drift_bound = options_.drift_bound;
  ledger_options.ack_limit = options_.ack_limit;
  ledger_options.write_window = options_.write_window > absl::ZeroDuration()
                                    ? options_.write_window
                                    : std::max(options_.lease, lease::kShortestWriteWindowLimit);
  EnforcementLedger::Start start;
  start.head = ledger_head_;
  start.last_event_revision = head.last_event_revision();
  start.longest_lease = absl::Microseconds(meta.longest_lease_us());
  start.longest_lease_before = longest_lease_before;
  start.restored = meta.restored();
  start.predecessors_dead = options_.predecessors_dead;
  ASSIGN_OR_RETURN(start.roster, ReadRoster(*snapshot));
  start.service_now = options_.clock->ServiceNow();
  start.now = options_.clock->Now();

  EnforcementDesk::Options desk_options;
  desk_options.sequencer = options_.sequencer;
  desk_options.clock = options_.clock;
  desk_options.use = options_.use;
  desk_options.on_enforced = options_.on_enforced;
  desk_options.on_edge_time = options_.on_edge_time;
  desk_options.wake = [this] { scheduler_->TickSoon(); };
  desk_options.wake_streams = [this] { scheduler_->WakeAllSoon(); };
  desk_ = std::make_unique<EnforcementDesk>(
      std::move(desk_options), options_.make_ledger
                                   ? options_.make_ledger(ledger_options, start)
                                   : std::make_unique<EnforcementLedger>(ledger_options, start));

  // The newest revisions are read into the ring, so that those who come back find them there.
  EventRing::Options ring = options_.ring;
  ring.proofs = proofs_.get();
  ASSIGN_OR_RETURN(const int64_t floor,
                   PreloadFloor(*snapshot, head, options_.preload_revisions, ring.max_bytes));
  ring_ = std::make_unique<EventRing>(ring, std::max<int64_t>(0, floor));
  readers_ = std::make_unique<FeedReaders>(options_.engine, ring_.get(), ring);
  snapshot.reset();
  ASSIGN_OR_RETURN(tail_,
                   options_.engine->TailFrom(
                       ring_->head(), [this](const storage::TailEntry& entry) { OnEntry(entry); }));
  base::Log(base::LogLevel::kInfo, "feed started",
            {{"epoch", history_.epoch},
             {"term", history_.term()},
             {"head", ring_->head()},
             {"roster", static_cast<int64_t>(start.roster.size())},
             {"restored", start.restored}});
  if (start.restored) {
    base::Log(base::LogLevel::kWarning,
              "the store was restored, or given a new epoch: who holds a lease from before is not "
              "known, so nothing is called enforced until the longest has run out",
              {{"epoch", history_.epoch}, {"revision", ledger_head_}});
  }
  ReviewFleet(options_.clock->Now());  // those of the roster are no news
  return absl::OkStatus();
}

void Feed::StopFor(const absl::Status& gap) {
  desk_->StopForGap();
  if (options_.on_fatal) options_.on_fatal(gap);
}

void Feed::JudgeStreams() {
  if (!options_.may_follow) return;
  // A fleet has few members.
  std::map<std::pair<std::string, std::string>, absl::Status> judged;
  for (const std::shared_ptr<FollowerStream>& stream : AllStreams()) {
    const auto [it, fresh] = judged.try_emplace({stream->member(), stream->operator_token_id()});
    if (fresh) {
      it->second = options_.may_follow(stream->member(), stream->operator_token_id());
    }
    if (!it->second.ok()) stream->Forbid(it->second);
  }
}

namespace {

// Whether it may let somebody in, or keep him out.
bool BearsOnAccess(const v1::Event& event) {
  switch (event.subject_case()) {
    case v1::Event::kAccessChanged:
      return true;
    case v1::Event::kTokenCreated:
      return event.token_created().workspace() == token::kOperatorWorkspace;
    case v1::Event::kTokenChanged:
      return event.token_changed().workspace() == token::kOperatorWorkspace;
    case v1::Event::kCohortRevoked:
      return event.cohort_revoked().workspace() == token::kOperatorWorkspace;
    case v1::Event::kWorkspaceChanged:
    case v1::Event::SUBJECT_NOT_SET:
      break;
  }
  return false;
}

}  // namespace

void Feed::OnEntry(const storage::TailEntry& entry) {
  const bool has_events = entry.events.events_size() > 0;
  // Of those before the start bindings and operator tokens are read already.
  const bool access_changed =
      entry.revision > ledger_head_ && absl::c_any_of(entry.events.events(), BearsOnAccess);
  // Before the ring has the entry: who has lost his role is sent nothing of it.
  if (access_changed && options_.on_access_changed) {
    const absl::Status read = options_.on_access_changed();
    if (!read.ok()) {
      base::Log(base::LogLevel::kError,
                "who may do what has changed, and cannot be read: nothing is granted any more",
                {{"revision", entry.revision}, {"status", read}});
      StopFor(read);
      return;
    }
    JudgeStreams();
  }
  // The ring comes before the ledger: events that the ledger demands before a Pong (R9) must be in
  // the ring to be sent.
  if (!ring_->Append(entry)) {
    base::Log(base::LogLevel::kError, "the store's tail has a gap: nothing is granted any more",
              {{"expected", ring_->head() + 1}, {"got", entry.revision}});
    StopFor(absl::DataLossError(absl::StrCat("the store's tail has a gap: after revision ",
                                             ring_->head(), " came ", entry.revision)));
    return;
  }
  if (entry.revision > ledger_head_) desk_->OnRevision(entry.revision, has_events);
  if (has_events) scheduler_->WakeAllSoon();  // else a Pong tells of it (R8)
}

absl::StatusOr<std::shared_ptr<FollowerStream>> Feed::Connect(std::shared_ptr<FollowWire> wire) {
  FollowerStreamState::Options stream;
  stream.history = &history_;
  stream.proofs = proofs_.get();
  stream.brand = options_.brand;
  stream.caller = wire->CallerName();
  stream.usage_interval = options_.usage_interval;
  stream.max_age =
      options_.min_stream_age + Jitter(options_.max_stream_age - options_.min_stream_age);
  stream.come_back_after = Jitter(options_.come_back_within);
  stream.pong_patience = options_.pong_patience;
  stream.no_progress_limit = options_.no_progress_limit;
  stream.max_message_bytes = options_.ring.max_part_bytes;
  uint64_t number = 0;
  size_t followers = 0;
  {
    absl::MutexLock lock(&mu_);
    if (draining_) return RefuseDraining();
    if (streams_ >= options_.max_followers) {
      base::ErrorDetails details;
      details.reason = "TOO_MANY_FOLLOWERS";
      details.retry_after = absl::Seconds(5);
      return base::Refuse(absl::StatusCode::kResourceExhausted,
                          absl::StrCat("refused: ", streams_, " validators follow already"),
                          details);
    }
    ++streams_;
    number = next_number_++;
    followers = streams_;
  }
  // After a start the fleet is still coming back; the roster tells its size.
  stream.ping_interval =
      PingIntervalFor(options_.ping_interval, options_.lease,
                      std::max(followers, desk_->figures().live), options_.max_pings_per_second);
  auto made = std::make_shared<FollowerStream>(number, std::move(stream), this, std::move(wire));
  {
    absl::MutexLock lock(&mu_);
    ShareOf(number).emplace(number, made);
  }
  // Once it is registered: of a withdrawal that comes now, JudgeStreams or this one knows.
  if (options_.may_follow) {
    const absl::Status may = options_.may_follow(made->member(), made->operator_token_id());
    if (!may.ok()) made->Forbid(may);
  }
  return made;
}

void Feed::OnGreeted(const std::shared_ptr<FollowerStream>& stream) {
  const lease::SessionId session = stream->session();
  std::shared_ptr<FollowerStream> replaced;
  bool draining = false;
  {
    absl::MutexLock lock(&mu_);
    draining = draining_;
    auto [it, fresh] = newest_.try_emplace(session, stream->number());
    if (!fresh) {
      const uint64_t older = std::exchange(it->second, stream->number());
      Streams& share = ShareOf(older);
      const auto found = share.find(older);
      if (found != share.end()) replaced = found->second;
    }
  }
  if (draining) stream->GoAway("draining", Jitter(options_.come_back_within));
  if (replaced != nullptr) replaced->GoAway("replaced", absl::ZeroDuration());
}

void Feed::ForgetGreeted(FollowerStream* stream) {
  const lease::SessionId session = stream->session();
  absl::MutexLock lock(&mu_);
  const auto newest = newest_.find(session);
  if (newest != newest_.end() && newest->second == stream->number()) newest_.erase(newest);
}

void Feed::OnBrand(const std::string& validator_id, const std::string& address,
                   const std::string& brand) {
  // A validator of before does not tell its brand.
  if (brand.empty() || brand == options_.brand) return;
  absl::MutexLock lock(&news_mu_);
  news_.OnOtherBrand(validator_id, address, brand.substr(0, kLongestBrandTold));
}

void Feed::OnCut(const std::string& validator_id, absl::string_view why) {
  {
    absl::MutexLock lock(&mu_);
    ++cut_;
  }
  absl::MutexLock lock(&news_mu_);
  news_.OnCut(validator_id, why);
}

void Feed::ReviewFleet(base::BootTime now) {
  const std::vector<SessionView> sessions = desk_->Sessions();
  next_fleet_review_ = now + FleetNews::ReviewInterval(sessions.size());
  std::vector<base::LogRecord> lines;
  {
    absl::MutexLock lock(&news_mu_);
    lines = news_.Review(sessions, now);
  }
  for (const base::LogRecord& line : lines) base::Log(line);
}

void Feed::OnWelcomed(bool resumes) {
  absl::MutexLock lock(&mu_);
  ++(resumes ? resumes_ : resets_);
}

void Feed::OnForked(const std::string& validator_id, const absl::Status& refusal) {
  if (!desk_->StopGranting()) return;
  base::Log(base::LogLevel::kError,
            "a validator proves that this epoch had another history: the store was put back to an "
            "older state, or is a copy; no leases are granted until it has a new epoch",
            {{"validator", validator_id}, {"status", refusal}, {"head", ring_->head()}});
  if (options_.on_rolled_back) options_.on_rolled_back(validator_id, refusal);
}

void Feed::OnStranger(const std::string& validator_id, const std::string& address,
                      const absl::Status& refusal) {
  int64_t count = 0;
  {
    absl::MutexLock lock(&mu_);
    ++strangers_;
    // A fleet that comes back again and again is one line now and then.
    const base::BootTime now = options_.clock->Now();
    if (now < next_stranger_line_) return;
    next_stranger_line_ = now + kBetweenStrangerLines;
    count = strangers_ - std::exchange(strangers_told_, strangers_);
  }
  base::Log(base::LogLevel::kError, "a validator of another history was refused",
            {{"validator", validator_id},
             {"address", address},
             {"status", refusal},
             {"refused_since_the_last_line", count}});
}

bool Feed::ReadStore(int64_t after, std::function<void(CatchUp)> done) {
  return scheduler_->RunRead([this, after, done = std::move(done)] {
    done(readers_->ReadStore(after, options_.catch_up_revisions));
  });
}

bool Feed::ReadFingerprint(int64_t revision, std::function<void(const KnownFingerprint&)> done) {
  return scheduler_->RunRead(
      [this, revision, done = std::move(done)] { done(readers_->ReadFingerprint(revision)); });
}

void Feed::OnStreamClosed(FollowerStream* stream) {
  const lease::SessionId session = stream->session();
  const bool stuck = stream->MadeNoProgress();
  std::shared_ptr<FollowerStream> held;  // let go after the lock
  {
    absl::MutexLock lock(&mu_);
    Streams& share = ShareOf(stream->number());
    const auto it = share.find(stream->number());
    if (it != share.end()) {
      held = std::move(it->second);
      share.erase(it);
    }
    const auto newest = newest_.find(session);
    if (newest != newest_.end() && newest->second == stream->number()) newest_.erase(newest);
    --streams_;
  }
  if (stuck) OnCut(session.validator_id, "it pings, and does not apply what it is sent");
  scheduler_->StreamGone();
}

void Feed::WakeStreams(size_t share) {
  std::vector<std::shared_ptr<FollowerStream>> streams;
  {
    absl::MutexLock lock(&mu_);
    streams.reserve(shares_[share].size());
    for (const auto& [number, stream] : shares_[share]) streams.push_back(stream);
  }
  for (const auto& stream : streams) stream->Wake();
  if (share == 0) readers_->WakeAll();
}

base::BootTime Feed::Tick() {
  base::BootTime next = desk_->Tick();
  const base::BootTime now = options_.clock->Now();
  if (now >= next_stream_tick_) {
    next_stream_tick_ = now + kStreamTick;
    for (const auto& stream : AllStreams()) {
      if (stream->Tick(now, options_.stall_limit)) {
        OnCut(stream->session().validator_id, "it does not read its stream");
      }
    }
  }
  if (now >= next_fleet_review_) ReviewFleet(now);
  next = std::min(next, next_stream_tick_);
  return std::clamp(next, now + kShortestTick, now + kStreamTick);
}

std::vector<std::shared_ptr<FollowerStream>> Feed::AllStreams() {
  std::vector<std::shared_ptr<FollowerStream>> streams;
  absl::MutexLock lock(&mu_);
  for (const Streams& share : shares_) {
    for (const auto& [number, stream] : share) streams.push_back(stream);
  }
  return streams;
}

absl::Duration Feed::Jitter(absl::Duration bound) {
  absl::MutexLock lock(&mu_);
  return bound * options_.random->UniformReal();
}

void Feed::BeginDrain() {
  {
    absl::MutexLock lock(&mu_);
    draining_ = true;
  }
  for (const auto& stream : AllStreams()) {
    stream->GoAway("draining", Jitter(options_.come_back_within));
  }
}

void Feed::AbortStreams() {
  for (const auto& stream : AllStreams()) stream->Abort(RefuseDraining());
}

absl::StatusOr<std::unique_ptr<FeedReader>> Feed::Subscribe(int64_t after,
                                                            std::function<void()> wake) {
  return readers_->Subscribe(after, std::move(wake));
}

Feed::Stats Feed::stats() {
  const EnforcementDesk::Figures figures = desk_->figures();
  Stats stats;
  stats.live_sessions = figures.live;
  stats.pending_sessions = figures.pending;
  stats.head = ring_->head();
  stats.enforced = figures.enforced;
  stats.grants = figures.grants;
  stats.grants_refused = figures.grants_refused;
  stats.lapses = figures.lapses;
  stats.waiting = figures.waiting;
  stats.rolled_back = figures.rolled_back;
  stats.tail_gap = figures.tail_gap;
  stats.ring_bytes = ring_->bytes();
  stats.ring_revisions = ring_->size();
  absl::MutexLock lock(&mu_);
  stats.followers = newest_.size();
  stats.resets = resets_;
  stats.resumes = resumes_;
  stats.cut = cut_;
  stats.strangers = strangers_;
  return stats;
}

void Feed::Stop() {
  // The work under way still ends; only then may the objects that it uses be destroyed.
  if (desk_ != nullptr) desk_->Stop();
  tail_.reset();
}

}  // namespace tollgate::service
