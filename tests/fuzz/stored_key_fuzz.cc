// The store's keys: any bytes are a key of the kind asked for, and then no others are, or are
// refused; and keys lie in the order of their parts, and within the ranges of those that they
// belong to.
#include <algorithm>
#include <string>
#include <tuple>

#include "absl/strings/string_view.h"
#include "storage/schema.h"
#include "tests/fuzz/fuzz.h"

namespace tollgate::fuzz {
namespace {

using storage::KeyRange;

bool Refused(const absl::Status& status) { return status.code() == absl::StatusCode::kDataLoss; }

bool Within(absl::string_view key, const KeyRange& range) {
  return key >= range.begin && (range.end.empty() || key < range.end);
}

// What is read of any bytes gives the same bytes again.
void LookAtBytes(absl::string_view bytes) {
  const auto due = storage::ParseDueKey(bytes);
  FUZZ_CLAIM(due.ok() ? storage::DueKey(due->time_us, due->kind, due->subject) == bytes
                      : Refused(due.status()));
  const auto purged = storage::ParsePurgeKey(bytes);
  if (purged.ok()) {
    FUZZ_CLAIM(due.ok() && due->kind == storage::DueKind::kPurge);
    const auto at = storage::ParseRevisionKey(absl::string_view(due->subject).substr(0, 8));
    FUZZ_CLAIM(at.ok() && storage::PurgeKey(*at, *purged) == bytes);
  } else {
    FUZZ_CLAIM(Refused(purged.status()));
  }
  const auto token = storage::ParseTokenKey(bytes);
  FUZZ_CLAIM(token.ok() ? storage::TokenKey(token->workspace, token->token_id) == bytes
                        : Refused(token.status()));
  const auto use = storage::ParseUseKey(bytes);
  FUZZ_CLAIM(use.ok() ? storage::UseKey(use->workspace, use->token_id, use->edge) == bytes
                      : Refused(use.status()));
  const auto revision = storage::ParseRevisionKey(bytes);
  FUZZ_CLAIM(revision.ok() ? storage::RevisionKey(*revision) == bytes : Refused(revision.status()));
  const auto entry = storage::AuditKeyOf(bytes);
  if (entry.ok()) {
    FUZZ_CLAIM(entry->size() == storage::AuditKey(0, 0).size());
    const absl::string_view before = bytes.substr(0, bytes.size() - entry->size());
    FUZZ_CLAIM(bytes.substr(before.size()) == *entry && before.back() == '\0');
  } else {
    FUZZ_CLAIM(Refused(entry.status()));
  }
}

void LookAtPrefix(absl::string_view prefix, absl::string_view other) {
  const std::string end = storage::PrefixEnd(prefix);
  const bool inside = other.substr(0, prefix.size()) == prefix;
  FUZZ_CLAIM(inside == Within(other, {std::string(prefix), end}));
  const std::string after = storage::KeyAfter(prefix);
  FUZZ_CLAIM(after > prefix && (other <= prefix || other >= after));
}

// What keys are made of.
struct Parts {
  int64_t number = 0;  // not below 0
  uint32_t index = 0;
  std::string workspace;  // without 0 bytes, as are those below
  std::string token_id;
  std::string edge;
};

std::string TakeText(absl::string_view* input) {
  const size_t zero = std::min(input->find('\0'), input->size());
  std::string text(input->substr(0, zero));
  input->remove_prefix(std::min(zero + 1, input->size()));
  return text;
}

Parts TakeParts(absl::string_view* input) {
  Parts parts;
  for (int i = 0; i < 12 && !input->empty(); ++i) {
    const auto byte = static_cast<uint8_t>(input->front());
    input->remove_prefix(1);
    if (i < 8) {
      parts.number = (parts.number << 8 | byte) & INT64_MAX;
    } else {
      parts.index = parts.index << 8 | byte;
    }
  }
  parts.workspace = TakeText(input);
  parts.token_id = TakeText(input);
  parts.edge = TakeText(input);
  return parts;
}

void LookAtPair(const Parts& a, const Parts& b) {
  using storage::DueKind;
  const auto tied = [](const auto&... parts) { return std::tie(parts...); };
  FUZZ_CLAIM((storage::RevisionKey(a.number) < storage::RevisionKey(b.number)) ==
             (a.number < b.number));
  FUZZ_CLAIM((storage::TermKey(a.number) < storage::TermKey(b.number)) == (a.number < b.number));
  FUZZ_CLAIM((storage::AuditKey(a.number, a.index) < storage::AuditKey(b.number, b.index)) ==
             (tied(a.number, a.index) < tied(b.number, b.index)));
  const std::string token_a = storage::TokenKey(a.workspace, a.token_id);
  const std::string token_b = storage::TokenKey(b.workspace, b.token_id);
  FUZZ_CLAIM((token_a < token_b) ==
             (tied(a.workspace, a.token_id) < tied(b.workspace, b.token_id)));
  for (const DueKind kind : {DueKind::kExpire, DueKind::kWatchUnused}) {
    FUZZ_CLAIM((storage::DueKey(a.number, kind, token_a) <
                storage::DueKey(b.number, DueKind::kRetire, token_b)) ==
               (tied(a.number, kind) < tied(b.number, DueKind::kRetire)));
  }
  FUZZ_CLAIM((storage::PurgeKey(a.number, token_a) < storage::PurgeKey(b.number, token_b)) ==
             (tied(a.number, token_a) < tied(b.number, token_b)));
  const std::string use_a = storage::UseKey(a.workspace, a.token_id, a.edge);
  FUZZ_CLAIM((use_a < storage::UseKey(b.workspace, b.token_id, b.edge)) ==
             (tied(a.workspace, a.token_id, a.edge) < tied(b.workspace, b.token_id, b.edge)));

  // A range holds what belongs to it, and nothing else.
  const bool one_workspace = a.workspace == b.workspace;
  const bool one_token = one_workspace && a.token_id == b.token_id;
  FUZZ_CLAIM(Within(token_a, storage::WorkspaceTokens(b.workspace)) == one_workspace);
  FUZZ_CLAIM(Within(use_a, storage::UsesOfWorkspace(b.workspace)) == one_workspace);
  FUZZ_CLAIM(Within(use_a, storage::UsesOfToken(b.workspace, b.token_id)) == one_token);
  FUZZ_CLAIM(Within(storage::LabelKey(a.workspace, a.edge, a.token_id),
                    storage::TokensWithLabel(a.workspace, a.edge)));
  const std::string counts = storage::LiveCountPrefix();
  FUZZ_CLAIM(
      Within(storage::LiveCountKey(a.workspace, a.edge), {counts, storage::PrefixEnd(counts)}));

  // A token's history, of which the end of each key is an entry's.
  const std::string entry = storage::AuditKey(a.number, a.index);
  const auto read = storage::AuditKeyOf(storage::AuditByTokenKey(a.workspace, a.token_id, entry));
  FUZZ_CLAIM(read.ok() && *read == entry);
  const auto purged = storage::ParsePurgeKey(storage::PurgeKey(a.number, token_a));
  FUZZ_CLAIM(purged.ok() && *purged == token_a);
  LookAtBytes(token_a);
  LookAtBytes(use_a);
  LookAtPrefix(token_a, use_a);
}

void Look(absl::string_view input) {
  LookAtBytes(input);
  LookAtPrefix(input.substr(0, input.size() / 2), input.substr(input.size() / 2));
  const Parts a = TakeParts(&input);
  LookAtPair(a, TakeParts(&input));
}

}  // namespace
}  // namespace tollgate::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  tollgate::fuzz::Look(absl::string_view(reinterpret_cast<const char*>(data), size));
  return 0;
}
