#include "service/feed/enforcement_desk.h"

#include <algorithm>

#include "base/log.h"
#include "base/proto_time.h"
#include "base/status.h"
#include "service/feed/ledger/roster_command.h"

namespace tollgate::service {

using tollgate::v1::Receipt;

namespace {
// Sessions copied under one hold of the lock.
constexpr size_t kViewedAtOnce = 256;
// Revisions timed for the metric at once.
constexpr size_t kMaxTimed = 10'000;
}  // namespace

EnforcementDesk::EnforcementDesk(Options options, std::unique_ptr<EnforcementLedger> ledger)
    : options_(std::move(options)), ledger_(std::move(ledger)) {
  TellSink();
}

EnforcementDesk::~EnforcementDesk() { Stop(); }

void EnforcementDesk::Acknowledge(const lease::SessionId& key, int64_t revision,
                                  const tollgate::v1::Ping& ping) {
  if (options_.on_edge_time && ping.has_wall_time() && base::IsValid(ping.wall_time())) {
    options_.on_edge_time(key.validator_id, base::FromProto(ping.wall_time()));
  }
  absl::MutexLock lock(&mu_);
  ledger_->Acknowledge(key, revision, ping, options_.clock->Now());
}

bool EnforcementDesk::BindCaller(const lease::SessionId& key, absl::string_view caller) {
  {
    absl::MutexLock lock(&mu_);
    if (ledger_->BindCaller(key, caller)) return true;
  }
  base::LogSummed(base::LogLevel::kWarning,
                  "somebody tried to speak for a validator that follows as another caller", "",
                  {{"validator", key.validator_id}, {"caller", caller}});
  return false;
}

base::BootTime EnforcementDesk::NoteClocks() {
  const storage::Sequencer::WriteStart write = options_.sequencer->last_write();
  ledger_->OnStoreWrite(write.boot, write.wall);
  const absl::Time wall = options_.clock->WallNow();
  const base::BootTime now = options_.clock->Now();
  ledger_->OnClocks(now, wall);
  return now;
}

LeaseAnswer EnforcementDesk::GrantLease(const lease::SessionId& key, int64_t revision) {
  LeaseAnswer answer;
  bool first_for_silence = false;
  {
    absl::MutexLock lock(&mu_);
    answer = ledger_->GrantLease(key, revision, NoteClocks());
    ++(answer.outcome == LeaseOutcome::kGranted ? grants_ : grants_refused_);
    if (answer.outcome == LeaseOutcome::kStoreSilent) {
      first_for_silence = !std::exchange(refused_for_silence_, true);
    }
  }
  if (first_for_silence) options_.wake();  // for the keep-alive
  // Before the Pong is written: a session that may admit from now on must not count as silent.
  TellSink();
  return answer;
}

void EnforcementDesk::OnRevision(int64_t revision, bool has_events) {
  bool due = false;
  {
    absl::MutexLock lock(&mu_);
    const base::BootTime now = options_.clock->Now();
    ledger_->OnRevision(revision, has_events, now);
    if (has_events && unenforced_.size() < kMaxTimed) unenforced_.emplace_back(revision, now);
    const int64_t enforced = ledger_->enforced_revision();
    due = (!waiters_.empty() && waiters_.begin()->first.first <= enforced) ||
          (!unenforced_.empty() && unenforced_.front().first <= enforced);
  }
  if (due) options_.wake();
}

void EnforcementDesk::OnHello(const lease::SessionId& key, const tollgate::v1::Hello& hello,
                              absl::string_view address) {
  absl::MutexLock lock(&mu_);
  ledger_->OnHello(key, hello, options_.clock->Now(), address);
}

void EnforcementDesk::OnStreamClosed(const lease::SessionId& key) {
  absl::MutexLock lock(&mu_);
  ledger_->OnStreamClosed(key, options_.clock->Now());
}

void EnforcementDesk::Release(const lease::SessionId& key) {
  absl::MutexLock lock(&mu_);
  ledger_->Release(key, options_.clock->Now());
}

bool EnforcementDesk::StopGranting() {
  absl::MutexLock lock(&mu_);
  const bool first = !ledger_->rolled_back();
  ledger_->StopGranting();
  return first;
}

void EnforcementDesk::StopForGap() {
  absl::MutexLock lock(&mu_);
  ledger_->StopForGap();
}

bool EnforcementDesk::WriteRoster(const lease::SessionId& key, std::function<void()> done) {
  absl::MutexLock roster_lock(&roster_mu_);
  RosterWrite write;
  {
    absl::MutexLock lock(&mu_);
    if (!ledger_->NeedsRoster(key) || ledger_->stopped()) return false;
    write = ledger_->BeginRosterWrite(key, options_.clock->ServiceNow());
  }
  Write(std::make_shared<AddSession>(write.record), [this, write, done = std::move(done)](
                                                        const absl::Status& status) {
    if (status.ok()) {
      absl::MutexLock lock(&mu_);
      ledger_->OnRostered(write);
    } else {
      base::LogSummed(base::LogLevel::kWarning, "a validator could not be written into the roster",
                      base::ReasonOf(status),
                      {{"validator", write.record.validator_id()}, {"status", status}});
    }
    done();
  });
  return true;
}

void EnforcementDesk::Forget(const ForgetQuestion& question,
                             std::function<void(absl::StatusOr<storage::Committed>)> done) {
  absl::Status refused;
  {
    // As in WriteRoster: what comes back from here on is written after the command.
    absl::MutexLock roster_lock(&roster_mu_);
    absl::StatusOr<lease::SessionId> key = lease::SessionId();
    {
      absl::MutexLock lock(&mu_);
      key = ledger_->BeginForget(question.validator_id, question.instance, options_.clock->Now());
      if (key.ok()) ++writes_under_way_;
    }
    refused = key.status();
    if (key.ok()) {
      options_.sequencer->Submit(
          std::make_shared<ForgetSession>(*key, InstanceOf(*key), question.actor, question.origin),
          [this, key = *key, done](absl::StatusOr<storage::Committed> result) {
            {
              absl::MutexLock lock(&mu_);
              if (result.ok()) ledger_->OnForgotten(key);
            }
            done(std::move(result));
            absl::MutexLock lock(&mu_);
            --writes_under_way_;
          });
    }
  }
  if (!refused.ok()) done(refused);
}

void EnforcementDesk::Write(std::shared_ptr<storage::Command> command,
                            std::function<void(const absl::Status&)> done) {
  {
    absl::MutexLock lock(&mu_);
    ++writes_under_way_;
  }
  options_.sequencer->Submit(std::move(command), [this, done = std::move(done)](
                                                     absl::StatusOr<storage::Committed> result) {
    done(result.status());
    absl::MutexLock lock(&mu_);
    --writes_under_way_;
  });
}

void EnforcementDesk::Answer(const Waiter& waiter) {
  Receipt receipt;
  {
    absl::MutexLock lock(&mu_);
    const base::BootTime now = options_.clock->Now();
    ledger_->Advance(now);
    receipt = ledger_->ReceiptFor(waiter.question);
    if (!receipt.has_elapsed()) {
      *receipt.mutable_elapsed() = base::ToProto(now - waiter.began);
    }
  }
  TellSink();
  waiter.done(std::move(receipt));
}

bool EnforcementDesk::HasCome(const ReceiptQuestion& question) const {
  return question.revision <= ledger_->enforced_revision() &&
         !(question.holds && ledger_->AnyHoldOpen(question.revision));
}

WaitId EnforcementDesk::WaitEnforced(const ReceiptQuestion& question, absl::Duration timeout,
                                     std::function<void(Receipt)> done) {
  WaitId id;
  bool waits = false;
  Waiter waiter;
  waiter.question = question;
  waiter.done = std::move(done);
  {
    absl::MutexLock lock(&mu_);
    waiter.began = options_.clock->Now();
    waiter.deadline =
        waiter.began + std::clamp(timeout, absl::ZeroDuration(), lease::kLongestLease);
    ledger_->Advance(waiter.began);
    if (!HasCome(question) && timeout > absl::ZeroDuration() && !stopped_ &&
        waiters_.size() + holds_waiters_.size() < kMaxWaiting) {
      const int64_t number = ++next_waiter_;
      id = {question.revision, number};
      deadlines_.emplace(std::make_pair(waiter.deadline, number), question.revision);
      waiters_.emplace(std::make_pair(question.revision, number), waiter);
      waits = true;
    }
  }
  if (waits) {
    options_.wake();  // the timer may have to be set earlier
  } else {
    Answer(waiter);
  }
  return id;
}

void EnforcementDesk::EndWait(const WaitId& id) {
  Waiters::node_type gone;  // what it holds is let go without the lock
  absl::MutexLock lock(&mu_);
  gone = waiters_.extract({id.revision, id.number});
  if (gone.empty()) gone = holds_waiters_.extract({id.revision, id.number});
  if (!gone.empty()) deadlines_.erase({gone.mapped().deadline, id.number});
}

Receipt EnforcementDesk::ReceiptFor(const ReceiptQuestion& question) {
  Receipt receipt;
  {
    absl::MutexLock lock(&mu_);
    ledger_->Advance(options_.clock->Now());
    receipt = ledger_->ReceiptFor(question);
  }
  TellSink();
  return receipt;
}

int64_t EnforcementDesk::enforced_revision() {
  absl::MutexLock lock(&mu_);
  ledger_->Advance(options_.clock->Now());
  return ledger_->enforced_revision();
}

std::vector<SessionView> EnforcementDesk::Sessions() {
  std::vector<SessionView> views;
  for (bool more = true; more;) {
    const absl::optional<lease::SessionId> after =
        views.empty() ? absl::nullopt : absl::optional<lease::SessionId>(views.back().key);
    absl::MutexLock lock(&mu_);
    ledger_->Advance(options_.clock->Now());
    more = ledger_->AddSessions(after, kViewedAtOnce, &views);
  }
  return views;
}

void EnforcementDesk::TellSink() {
  if (options_.use == nullptr) {
    absl::MutexLock lock(&mu_);
    ledger_->TakeLifeChanges();
    return;
  }
  absl::MutexLock sink_lock(&sink_mu_);
  std::vector<LifeChange> changes;
  {
    absl::MutexLock lock(&mu_);
    changes = ledger_->TakeLifeChanges();
  }
  for (const LifeChange& change : changes) {
    if (change.live) {
      options_.use->SessionLive(change.key.validator_id, change.key.incarnation);
    } else {
      options_.use->SessionEnded(change.key.validator_id, change.key.incarnation,
                                 change.said_goodbye);
    }
  }
}

void EnforcementDesk::Ready(Waiters::node_type waiter, std::vector<Waiter>* ready) {
  deadlines_.erase({waiter.mapped().deadline, waiter.key().second});
  ready->push_back(std::move(waiter.mapped()));
}

void EnforcementDesk::Settle() {
  std::vector<Waiter> ready;
  std::vector<absl::Duration> took;
  {
    absl::MutexLock lock(&mu_);
    const base::BootTime now = options_.clock->Now();
    ledger_->Advance(now);
    const int64_t enforced = ledger_->enforced_revision();
    while (!waiters_.empty() && waiters_.begin()->first.first <= enforced) {
      Waiters::node_type first = waiters_.extract(waiters_.begin());
      if (HasCome(first.mapped().question)) {
        Ready(std::move(first), &ready);
      } else {
        holds_waiters_.insert(std::move(first));
      }
    }
    // One look a revision, and only where the last hold of one has been closed.
    if (std::exchange(seen_closings_, ledger_->hold_closings()) != ledger_->hold_closings()) {
      for (auto it = holds_waiters_.begin(); it != holds_waiters_.end();) {
        if (HasCome(it->second.question)) {
          Ready(holds_waiters_.extract(it++), &ready);
        } else {
          it = holds_waiters_.upper_bound({it->first.first, INT64_MAX});
        }
      }
    }
    while (!unenforced_.empty() && unenforced_.front().first <= enforced) {
      took.push_back(now - unenforced_.front().second);
      unenforced_.pop_front();
    }
  }
  TellSink();
  for (const Waiter& waiter : ready) Answer(waiter);
  if (options_.on_enforced) {
    for (absl::Duration d : took) options_.on_enforced(d);
  }
}

base::BootTime EnforcementDesk::Tick() {
  std::vector<Waiter> late;
  bool keep_alive = false;
  bool end_hold = false;
  absl::optional<absl::Duration> lower;
  base::BootTime next;
  {
    absl::MutexLock lock(&mu_);
    const base::BootTime now = NoteClocks();
    ledger_->Advance(now);
    next = ledger_->NextChange();
    while (!deadlines_.empty() && deadlines_.begin()->first.first <= now) {
      const auto& [due, revision] = *deadlines_.begin();
      Waiters::node_type waiter = waiters_.extract({revision, due.second});
      if (waiter.empty()) waiter = holds_waiters_.extract({revision, due.second});
      Ready(std::move(waiter), &late);
    }
    if (!deadlines_.empty()) next = std::min(next, deadlines_.begin()->first.first);
    if (!ledger_->stopped() && !stopped_) {  // R11: it writes nothing more
      lower = ledger_->TakeLowerLongestLease();
      end_hold = ledger_->TakeRestoreHoldEnd();
      keep_alive = !keep_alive_under_way_ && ledger_->KeepAliveDue(now);
      if (keep_alive) keep_alive_under_way_ = true;
    }
  }
  for (const Waiter& waiter : late) Answer(waiter);
  Settle();

  const auto logged = [](const absl::Status& status) {
    if (!status.ok()) {
      base::LogSummed(base::LogLevel::kWarning, "a write of the feed's failed",
                      base::ReasonOf(status), {{"status", status}});
    }
  };
  {
    absl::MutexLock roster_lock(&roster_mu_);
    std::vector<RosterRemoval> removals;
    {
      absl::MutexLock lock(&mu_);
      if (!ledger_->stopped() && !stopped_) removals = ledger_->TakeRosterRemovals();
    }
    // A removal that fails leaves a record too many, which only costs a wait after the next start.
    for (const RosterRemoval& removal : removals) {
      absl::optional<RemoveSession::Lapsed> lapsed;
      if (removal.lapsed) lapsed = RemoveSession::Lapsed{removal.address};
      Write(std::make_shared<RemoveSession>(removal.key.validator_id, removal.key.incarnation,
                                            std::move(lapsed)),
            logged);
    }
  }
  if (lower.has_value()) {
    Write(std::make_shared<SetLongestLease>(*lower, SetLongestLease::Mode::kSet), logged);
  }
  if (end_hold) Write(std::make_shared<EndRestoreHold>(), logged);
  if (keep_alive) {
    Write(std::make_shared<KeepAlive>(), [this, logged](const absl::Status& status) {
      logged(status);
      bool waited_for = false;
      {
        absl::MutexLock lock(&mu_);
        keep_alive_under_way_ = false;
        waited_for = std::exchange(refused_for_silence_, false);
      }
      if (waited_for && options_.wake_streams) options_.wake_streams();
    });
  }
  return next;
}

void EnforcementDesk::Stop() {
  Waiters waiters;
  {
    absl::MutexLock lock(&mu_);
    stopped_ = true;
    waiters.swap(waiters_);
    waiters.merge(holds_waiters_);
    deadlines_.clear();
  }
  for (const auto& [place, waiter] : waiters) Answer(waiter);
  absl::MutexLock lock(&mu_);
  const auto idle = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return writes_under_way_ == 0; };
  mu_.Await(absl::Condition(&idle));
}

EnforcementDesk::Figures EnforcementDesk::figures() {
  absl::MutexLock lock(&mu_);
  ledger_->Advance(options_.clock->Now());
  Figures figures;
  figures.live = ledger_->live_count();
  figures.pending = ledger_->pending_count();
  figures.enforced = ledger_->enforced_revision();
  figures.grants = grants_;
  figures.grants_refused = grants_refused_;
  figures.lapses = ledger_->lapses();
  figures.waiting = static_cast<int64_t>(waiters_.size() + holds_waiters_.size());
  figures.rolled_back = ledger_->rolled_back();
  figures.tail_gap = ledger_->tail_gap();
  return figures;
}

}  // namespace tollgate::service
