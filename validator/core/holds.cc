#include "validator/core/holds.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "base/status.h"

namespace tollgate::validator {
namespace {

// A tick that is late by so little is not hastened.
constexpr absl::Duration kDueSlack = absl::Milliseconds(1);

// Of holders that a log line names.
constexpr size_t kMostNames = 16;

// A wake, or a message, that came together with the stream's end.
absl::Status HasLeft() { return absl::CancelledError("the stream of the holder is over"); }

}  // namespace

Holds::Holds(HoldsOptions options, const EdgeReader* reader, const base::Clock* clock,
             std::function<void()> on_news)
    : reader_(*reader), clock_(*clock), on_news_(std::move(on_news)), table_(options) {}

Holds::~Holds() = default;

// ---- The streams of holders.

absl::StatusOr<Holds::HolderRef> Holds::Join(std::function<void()> wake) {
  HolderRef holder(new Holder(std::move(wake)));
  absl::MutexLock lock(&mu_);
  ASSIGN_OR_RETURN(holder->stream_, table_.Join());
  holders_[holder->stream_] = holder;
  return holder;
}

absl::Status Holds::Hello(const HolderRef& holder, absl::string_view name) {
  absl::MutexLock lock(&mu_);
  if (holder->stream_ == nullptr) return HasLeft();
  return table_.Hello(holder->stream_, name);
}

absl::StatusOr<bool> Holds::Begin(const HolderRef& holder, uint64_t hold_id) {
  absl::MutexLock lock(&mu_);
  if (holder->stream_ == nullptr) return HasLeft();
  return table_.Begin(holder->stream_, hold_id);
}

uint64_t Holds::events() const {
  absl::MutexLock lock(&mu_);
  return table_.events();
}

void Holds::Decided(const HolderRef& holder, Verdict verdict, const Decision& decision) {
  {
    absl::MutexLock lock(&mu_);
    if (holder->stream_ == nullptr) return;
    table_.Decided(holder->stream_, std::move(verdict), decision, clock_.Now());
  }
  CallOut();
}

void Holds::Refuse(const HolderRef& holder, uint64_t hold_id,
                   std::unique_ptr<tollgate::v1::ValidateResponse> words) {
  {
    absl::MutexLock lock(&mu_);
    if (holder->stream_ == nullptr) return;
    table_.Refuse(holder->stream_, hold_id, std::move(words));
  }
  CallOut();
}

absl::Status Holds::Renew(const HolderRef& holder, uint64_t sequence) {
  {
    absl::MutexLock lock(&mu_);
    if (holder->stream_ == nullptr) return HasLeft();
    RETURN_IF_ERROR(table_.Renew(holder->stream_, sequence));
  }
  CallOut();
  return absl::OkStatus();
}

absl::Status Holds::Close(const HolderRef& holder, uint64_t hold_id) {
  {
    absl::MutexLock lock(&mu_);
    if (holder->stream_ == nullptr) return HasLeft();
    RETURN_IF_ERROR(table_.Close(holder->stream_, hold_id));
  }
  CallOut();
  return absl::OkStatus();
}

Holds::Next Holds::NextMessage(const HolderRef& holder, tollgate::v1::HoldResponse* out) {
  absl::MutexLock lock(&mu_);
  if (holder->stream_ == nullptr) return Next::kNothing;
  // Read after the request that is answered, as for a Pong (R1): an earlier reading would make the
  // word longer than the lease. And clocks before lease (R13).
  return table_.NextMessage(holder->stream_, reader_.ReadMoment(), out);
}

void Holds::Leave(const HolderRef& holder) {
  {
    absl::MutexLock lock(&mu_);
    HoldTable::Stream* const stream = std::exchange(holder->stream_, nullptr);
    if (stream == nullptr) return;
    holders_.erase(stream);
    table_.Leave(stream, clock_.Now());
  }
  CallOut();
}

void Holds::CallOut() {
  std::vector<HolderRef> woken;
  bool news = false;
  {
    absl::MutexLock lock(&mu_);
    news = table_.receipts().has_news() && !std::exchange(news_called_, true);
    for (HoldTable::Stream* const stream : table_.TakeWoken()) woken.push_back(holders_.at(stream));
  }
  for (const HolderRef& holder : woken) holder->wake_();
  if (news) on_news_();
}

// ---- Events.

void Holds::OnTokenEvent(absl::string_view token_id, int64_t revision) {
  absl::MutexLock lock(&mu_);
  table_.OnTokenEvent(token_id, revision, clock_.Now());
}

void Holds::OnCohort(const token::CohortWatermark& cohort) {
  absl::MutexLock lock(&mu_);
  table_.OnCohort(cohort, clock_.Now());
}

void Holds::OnAny(int64_t revision) {
  absl::MutexLock lock(&mu_);
  table_.OnAny(revision, clock_.Now());
}

void Holds::OnReset(const std::string& epoch, int64_t revision) {
  absl::MutexLock lock(&mu_);
  table_.receipts().Reset(epoch, revision);
}

void Holds::OnHistoryEnded() {
  absl::MutexLock lock(&mu_);
  table_.OnHistoryEnded();
}

void Holds::OnLeaseEnded() {
  absl::MutexLock lock(&mu_);
  table_.OnLeaseEnded();
}

void Holds::CollectHeld(std::vector<HeldUse>* held) {
  const EdgeReader::Moment now = reader_.ReadMoment();
  absl::MutexLock lock(&mu_);
  table_.CollectHeld(now, held);
}

// ---- The pings.

bool Holds::has_news() const {
  absl::MutexLock lock(&mu_);
  return table_.receipts().has_news();
}

bool Holds::FillPing(tollgate::v1::Ping* ping) {
  absl::MutexLock lock(&mu_);
  news_called_ = false;
  return table_.receipts().FillPing(ping);
}

void Holds::StreamEnded() {
  absl::MutexLock lock(&mu_);
  table_.receipts().StreamEnded();
}

int64_t Holds::open() const { return Totals().open; }

// ---- The validator.

bool Holds::BeginAsking() {
  absl::MutexLock lock(&mu_);
  return table_.BeginAsking();
}

absl::optional<Holds::Question> Holds::NextQuestion() {
  absl::MutexLock lock(&mu_);
  return table_.NextQuestion();
}

void Holds::Answered(const Question& question, const Decision& decision) {
  // Clocks and lease are read after the answer has come (R13).
  const EdgeReader::Moment now = reader_.ReadMoment();
  {
    absl::MutexLock lock(&mu_);
    table_.Answered(question, decision, now);
  }
  CallOut();
}

void Holds::Tick() {
  const EdgeReader::Moment now = reader_.ReadMoment();
  {
    absl::MutexLock lock(&mu_);
    table_.Tick(now);
  }
  CallOut();
}

base::BootTime Holds::TickAt() {
  const EdgeReader::Moment now = reader_.ReadMoment();
  absl::MutexLock lock(&mu_);
  return told_ = table_.DueAt(now);
}

bool Holds::DueSooner() {
  const EdgeReader::Moment now = reader_.ReadMoment();
  absl::MutexLock lock(&mu_);
  // By enough: a moment later the end of a token is reckoned to come some nanoseconds sooner.
  return table_.DueAt(now) + kDueSlack < told_;
}

void Holds::CloseAll() {
  {
    absl::MutexLock lock(&mu_);
    table_.CloseAll();
  }
  CallOut();
}

void Holds::AwaitAnswers(absl::Duration limit, absl::Duration patience) {
  absl::MutexLock lock(&mu_);
  const base::BootTime end = clock_.Now() + limit;
  while (table_.unanswered() > 0) {
    const size_t before = table_.unanswered();
    const auto fewer = [this, before] {
      mu_.AssertReaderHeld();
      return table_.unanswered() < before;
    };
    const absl::Duration left = std::min(end - clock_.Now(), patience);
    if (!mu_.AwaitWithTimeout(absl::Condition(&fewer), left)) return;
  }
}

absl::Duration Holds::LongestWord() const {
  absl::MutexLock lock(&mu_);
  return table_.LongestWord(clock_.Now());
}

std::vector<std::string> Holds::Unanswered() const {
  absl::MutexLock lock(&mu_);
  return table_.Unanswered(clock_.Now(), kMostNames);
}

HoldTotals Holds::Totals() const {
  const EdgeReader::Moment now = reader_.ReadMoment();
  absl::MutexLock lock(&mu_);
  return table_.Totals(now);
}

}  // namespace tollgate::validator
