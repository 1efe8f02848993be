#include "validator/core/hold_receipts.h"

#include <algorithm>
#include <functional>
#include <utility>

namespace tollgate::validator {
namespace {

// Of one revision: so many names are known, and the first of them told.
constexpr size_t kMostNames = 64;
constexpr int kMostNamesTold = 16;

bool Unanswered(HoldReceipts::Stand stand) {
  return stand == HoldReceipts::Stand::kTold || stand == HoldReceipts::Stand::kSilent;
}

}  // namespace

struct HoldReceipts::Entry {
  explicit Entry(int64_t revision) : revision(revision) {}
  int64_t& at(Stand stand) { return numbers[static_cast<size_t>(stand)]; }
  bool IsEmpty() const {
    return std::all_of(numbers.begin(), numbers.end(), [](int64_t n) { return n == 0; });
  }

  // Nothing is to come of it, and the service knows that.
  bool IsSettled() { return !changed && at(Stand::kInDoubt) == 0 && at(Stand::kTold) == 0; }

  const int64_t revision;
  std::array<int64_t, 5> numbers{};                        // by stand; of kNone nothing
  std::map<std::string, int64_t, std::less<>> unanswered;  // holds that were told, by holder
  bool kept = true;
  bool changed = false;  // since it was told
  bool told = false;     // on this stream
  bool known = false;    // told, on any stream: the service keeps it from one to the next
};

std::shared_ptr<HoldReceipts::Entry> HoldReceipts::Of(int64_t revision) {
  const auto found = entries_.find(revision);
  if (found != entries_.end()) return found->second;
  // What was told of one that has given way is not to be replaced by what has come since.
  if (revision <= gave_way_) return nullptr;
  while (entries_.size() >= kMostRevisions) {
    const auto least = Least();
    if (least == entries_.end()) break;
    gave_way_ = std::max(gave_way_, least->first);
    Drop(least);
  }
  return entries_.emplace(revision, std::make_shared<Entry>(revision)).first->second;
}

HoldReceipts::Entries::iterator HoldReceipts::Least() {
  for (auto it = entries_.begin(); it != entries_.end(); ++it) {
    if (it->second->IsSettled()) return it;
  }
  for (auto it = entries_.begin(); it != entries_.end(); ++it) {
    if (it->second->known) return it;
  }
  return entries_.size() < kMostUntold ? entries_.end() : entries_.begin();
}

void HoldReceipts::Change(Entry* entry) {
  if (!entry->kept || std::exchange(entry->changed, true)) return;
  ++news_;
}

void HoldReceipts::Drop(Entries::iterator entry) {
  entry->second->kept = false;  // holds may refer to it for long
  entry->second->unanswered.clear();
  if (entry->second->changed) --news_;
  entries_.erase(entry);
}

void HoldReceipts::Move(const Doubts& doubts, Stand from, Stand to, absl::string_view holder,
                        int64_t holds) {
  if (holds == 0) return;
  for (const std::shared_ptr<Entry>& entry : doubts) {
    if (!entry->kept) continue;
    if (from != Stand::kNone) entry->at(from) -= holds;
    if (to != Stand::kNone) entry->at(to) += holds;
    Change(entry.get());
    if (Unanswered(from) == Unanswered(to)) continue;
    auto& names = entry->unanswered;
    auto name = names.find(holder);
    if (Unanswered(to)) {
      if (name == names.end()) {
        if (names.size() >= kMostNames) continue;
        name = names.emplace(std::string(holder), 0).first;
      }
      name->second += holds;
    } else if (name != names.end()) {
      name->second -= holds;
      if (name->second <= 0) names.erase(name);
    }
  }
}

bool HoldReceipts::AnyKept(const Doubts& doubts) {
  return std::any_of(doubts.begin(), doubts.end(),
                     [](const std::shared_ptr<Entry>& entry) { return entry->kept; });
}

void HoldReceipts::Reset(const std::string& epoch, int64_t revision) {
  const bool same = std::exchange(epoch_, epoch) == epoch;
  while (!entries_.empty() && (!same || entries_.rbegin()->first > revision)) {
    Drop(std::prev(entries_.end()));
  }
  gave_way_ = same ? std::min(gave_way_, revision) : 0;
}

void HoldReceipts::StreamEnded() {
  for (const auto& [revision, entry] : entries_) {
    entry->told = false;
    Change(entry.get());
  }
}

bool HoldReceipts::FillPing(tollgate::v1::Ping* ping) {
  // First what was told of no revision yet, because that holds up its acknowledgement.
  for (const bool first : {true, false}) {
    for (auto it = entries_.begin(); it != entries_.end() && news_ > 0;) {
      Entry& entry = *it->second;
      const auto here = it++;
      if (!entry.changed || entry.told == first) continue;
      if (!entry.known && entry.IsEmpty()) {  // all were good, before anybody was told
        Drop(here);
        continue;
      }
      if (ping->ended_holds_size() >= kMostInPing) {
        if (first && entry.revision <= ping->applied_revision()) {
          ping->set_applied_revision(std::max<int64_t>(0, entry.revision - 1));
        }
        return true;
      }
      auto* told = ping->add_ended_holds();
      told->set_revision(entry.revision);
      told->set_in_doubt(entry.at(Stand::kInDoubt));
      told->set_told(entry.at(Stand::kTold));
      told->set_closed(entry.at(Stand::kClosed));
      told->set_silent(entry.at(Stand::kSilent));
      for (const auto& [name, holds] : entry.unanswered) {
        if (told->unanswered_size() >= kMostNamesTold) break;
        told->add_unanswered(name);
      }
      entry.changed = false;
      entry.told = entry.known = true;
      --news_;
    }
  }
  return false;
}

}  // namespace tollgate::validator
