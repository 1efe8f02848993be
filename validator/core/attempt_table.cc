#include "validator/core/attempt_table.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "absl/hash/hash.h"
#include "token/token_string.h"

namespace tollgate::validator {
namespace {

// A slot's word: generation (24 bits), state (2), count (38).
constexpr int kCountBits = 38;
constexpr uint64_t kMostCounted = (uint64_t{1} << kCountBits) - 1;
constexpr uint64_t kEmpty = 0;
constexpr uint64_t kBeingNamed = 1;
constexpr uint64_t kHeld = 2;

uint64_t CountOf(uint64_t word) { return word & kMostCounted; }
uint64_t StateOf(uint64_t word) { return word >> kCountBits & 3; }
uint64_t GenerationOf(uint64_t word) { return word >> (kCountBits + 2); }
uint64_t MakeWord(uint64_t generation, uint64_t state, uint64_t count) {
  return generation << (kCountBits + 2) | state << kCountBits | count;
}

// A time as it lies in a slot: 16 bits of the generation, 48 of the time.
constexpr int kTimeBits = 48;
constexpr uint64_t kTimeMask = (uint64_t{1} << kTimeBits) - 1;
uint64_t TagOf(uint64_t word) { return GenerationOf(word) << kTimeBits; }
uint64_t MakeTime(uint64_t tag, int64_t ms) {
  return tag | (static_cast<uint64_t>(ms) & kTimeMask);
}
int64_t MsOf(uint64_t time) { return static_cast<int64_t>(time & kTimeMask); }

// Sets the time of the tenant with this tag; changes nothing where the slot has another one.
void PutTime(std::atomic<uint64_t>& time, uint64_t tag, int64_t ms) {
  uint64_t seen = time.load(std::memory_order_acquire);
  while ((seen & ~kTimeMask) == tag && MsOf(seen) != ms) {
    if (time.compare_exchange_weak(seen, MakeTime(tag, ms), std::memory_order_acq_rel)) return;
  }
}

size_t SetsFor(size_t slots, size_t ways) {
  return std::bit_ceil(std::max<size_t>((slots + ways - 1) / ways, 1));
}

constexpr size_t kIdAt = 2;
constexpr size_t kWorkspaceAt = kIdAt + token::kPublicIdLength;

}  // namespace

AttemptTable::AttemptTable(size_t slots)
    : sets_(SetsFor(slots, kWays)), slots_(new Slot[sets_ * kWays]) {}

bool AttemptTable::Pack(absl::string_view workspace, absl::string_view token_id,
                        tollgate::v1::VerdictReason reason, Name* name) {
  char bytes[sizeof(Name)] = {};
  if (token_id.size() != token::kPublicIdLength ||
      workspace.size() > sizeof(bytes) - kWorkspaceAt || reason <= 0 || reason > 255) {
    return false;
  }
  bytes[0] = static_cast<char>(reason);
  bytes[1] = static_cast<char>(workspace.size());
  std::memcpy(bytes + kIdAt, token_id.data(), token_id.size());
  std::memcpy(bytes + kWorkspaceAt, workspace.data(), workspace.size());
  std::memcpy(name->data(), bytes, sizeof(bytes));
  return true;
}

void AttemptTable::Unpack(const Slot& slot, TokenAttempts* attempts) {
  Name name;
  for (size_t i = 0; i < kNameWords; ++i) name[i] = slot.name[i].load(std::memory_order_acquire);
  char bytes[sizeof(Name)];
  std::memcpy(bytes, name.data(), sizeof(bytes));
  attempts->reason = static_cast<tollgate::v1::VerdictReason>(static_cast<uint8_t>(bytes[0]));
  attempts->token_id.assign(bytes + kIdAt, token::kPublicIdLength);
  attempts->workspace.assign(bytes + kWorkspaceAt, std::min<size_t>(static_cast<uint8_t>(bytes[1]),
                                                                    sizeof(bytes) - kWorkspaceAt));
}

bool AttemptTable::Holds(const Slot& slot, const Name& name) {
  for (size_t i = 0; i < kNameWords; ++i) {
    if (slot.name[i].load(std::memory_order_acquire) != name[i]) return false;
  }
  return true;
}

absl::Span<AttemptTable::Slot> AttemptTable::SetOf(const Name& name) const {
  const size_t set = absl::Hash<Name>()(name) & (sets_ - 1);
  return absl::MakeSpan(slots_.get() + set * kWays, kWays);
}

bool AttemptTable::Count(Slot& slot, uint64_t word, int64_t service_ms) {
  const uint64_t generation = GenerationOf(word);
  while (GenerationOf(word) == generation && StateOf(word) == kHeld) {
    // The times first: a time that is handed out is never older than the last counted attempt.
    if (CountOf(word) == 0) PutTime(slot.first, TagOf(word), service_ms);
    PutTime(slot.last, TagOf(word), service_ms);
    const uint64_t more = CountOf(word) == kMostCounted ? word : word + 1;
    if (slot.word.compare_exchange_weak(word, more, std::memory_order_acq_rel,
                                        std::memory_order_acquire)) {
      return true;
    }
  }
  return false;
}

bool AttemptTable::Claim(Slot& slot, uint64_t word, const Name& name, int64_t service_ms) {
  const uint64_t generation = GenerationOf(MakeWord(GenerationOf(word) + 1, 0, 0));  // wraps
  const uint64_t named = MakeWord(generation, kBeingNamed, 0);
  if (!slot.word.compare_exchange_strong(word, named, std::memory_order_acq_rel)) return false;
  for (size_t i = 0; i < kNameWords; ++i) slot.name[i].store(name[i], std::memory_order_release);
  slot.first.store(MakeTime(TagOf(named), service_ms), std::memory_order_release);
  slot.last.store(MakeTime(TagOf(named), service_ms), std::memory_order_release);
  slot.word.store(MakeWord(generation, kHeld, 1), std::memory_order_release);
  return true;
}

void AttemptTable::Add(absl::string_view workspace, absl::string_view token_id,
                       tollgate::v1::VerdictReason reason, int64_t service_ms) {
  Name name;
  if (Pack(workspace, token_id, reason, &name)) {
    const absl::Span<Slot> set = SetOf(name);
    // A slot that changes tenants under this call is rare, and costs one more look.
    for (int attempt = 0; attempt < 3; ++attempt) {
      Slot* empty = nullptr;
      uint64_t empty_word = 0;
      for (Slot& slot : set) {
        const uint64_t word = slot.word.load(std::memory_order_acquire);
        if (StateOf(word) == kHeld && Holds(slot, name) && Count(slot, word, service_ms)) return;
        if (StateOf(word) == kEmpty && empty == nullptr) {
          empty = &slot;
          empty_word = word;
        }
      }
      if (empty == nullptr) break;
      if (Claim(*empty, empty_word, name, service_ms)) return;
    }
  }
  left_out_.fetch_add(1, std::memory_order_relaxed);
}

void AttemptTable::Collect(std::vector<TokenAttempts>* out) {
  for (Slot& slot : absl::MakeSpan(slots_.get(), sets_ * kWays)) {
    uint64_t word = slot.word.load(std::memory_order_acquire);
    while (StateOf(word) == kHeld) {
      const uint64_t generation = GenerationOf(word);
      if (CountOf(word) == 0) {
        if (slot.word.compare_exchange_weak(word, MakeWord(generation, kEmpty, 0),
                                            std::memory_order_acq_rel, std::memory_order_acquire)) {
          break;
        }
        continue;
      }
      // The first time stands still while the count is above 0: read before that is taken away.
      const uint64_t first = slot.first.load(std::memory_order_acquire);
      const uint64_t count = CountOf(word);
      if (!slot.word.compare_exchange_weak(word, MakeWord(generation, kHeld, 0),
                                           std::memory_order_acq_rel, std::memory_order_acquire)) {
        continue;
      }
      TokenAttempts& attempts = out->emplace_back();
      Unpack(slot, &attempts);
      attempts.last_ms = MsOf(slot.last.load(std::memory_order_acquire));
      attempts.first_ms = std::min(MsOf(first), attempts.last_ms);
      attempts.count = static_cast<int64_t>(count);
      break;
    }
  }
}

}  // namespace tollgate::validator
