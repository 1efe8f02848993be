#include "storage/schema.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/status.h"
#include "google/protobuf/io/coded_stream.h"
#include "google/protobuf/io/zero_copy_stream_impl_lite.h"
#include "text/label.h"

namespace tollgate::storage {
namespace {

constexpr char kZero = '\0';
constexpr size_t kAuditKeySize = 8 + 4;
constexpr absl::string_view kTermPrefix = "term/";
// At one synced commit a microsecond, a store reaches it in 285 years. Another revision follows.
constexpr int64_t kLastRevision = int64_t{1} << 53;

void AppendBigEndian64(uint64_t value, std::string* out) {
  for (int shift = 56; shift >= 0; shift -= 8) out->push_back(static_cast<char>(value >> shift));
}

void AppendBigEndian32(uint32_t value, std::string* out) {
  for (int shift = 24; shift >= 0; shift -= 8) out->push_back(static_cast<char>(value >> shift));
}

uint64_t ReadBigEndian64(absl::string_view bytes) {
  uint64_t value = 0;
  for (int i = 0; i < 8; ++i) value = value << 8 | static_cast<uint8_t>(bytes[i]);
  return value;
}

std::string Join(absl::string_view a, absl::string_view b) {
  std::string key;
  key.reserve(a.size() + 1 + b.size());
  key.append(a.data(), a.size());
  key.push_back(kZero);
  key.append(b.data(), b.size());
  return key;
}

KeyRange RangeOf(std::string prefix) {
  KeyRange range;
  range.end = PrefixEnd(prefix);
  range.begin = std::move(prefix);
  return range;
}

absl::Status NotAKey(absl::string_view kind) {
  return absl::DataLossError(absl::StrCat("not a key of the kind '", kind, "'"));
}

}  // namespace

std::string SerializeRecord(const google::protobuf::MessageLite& record) {
  std::string bytes;
  {
    google::protobuf::io::StringOutputStream stream(&bytes);
    google::protobuf::io::CodedOutputStream coded(&stream);
    coded.SetSerializationDeterministic(true);
    record.SerializeToCodedStream(&coded);
  }
  return bytes;
}

std::string LiveCountKey(absl::string_view workspace, absl::string_view owner) {
  return Join(Join("count", workspace), owner);
}
std::string LiveCountPrefix() { return Join("count", ""); }

std::string TermKey(int64_t from_revision) {
  return absl::StrCat(kTermPrefix, RevisionKey(from_revision));
}

std::string TokenKey(absl::string_view workspace, absl::string_view token_id) {
  return Join(workspace, token_id);
}

std::string CohortKey(absl::string_view workspace, absl::string_view owner) {
  return Join(workspace, owner);
}

std::string LabelKey(absl::string_view workspace, absl::string_view label,
                     absl::string_view token_id) {
  return Join(Join(workspace, text::ComparedLabel(label)), token_id);
}

std::string RequestKey(absl::string_view scope, absl::string_view request_id) {
  return Join(scope, request_id);
}

std::string RevisionKey(int64_t revision) {
  std::string key;
  AppendBigEndian64(static_cast<uint64_t>(revision), &key);
  return key;
}

std::string AuditKey(int64_t revision, uint32_t index) {
  std::string key = RevisionKey(revision);
  AppendBigEndian32(index, &key);
  return key;
}

std::string AuditByTokenKey(absl::string_view workspace, absl::string_view token_id,
                            absl::string_view audit_key) {
  return Join(Join(workspace, token_id), audit_key);
}

std::string UseKey(absl::string_view workspace, absl::string_view token_id,
                   absl::string_view edge) {
  return Join(Join(workspace, token_id), edge);
}

std::string SessionKey(absl::string_view validator_id, absl::string_view incarnation) {
  return Join(validator_id, incarnation);
}

std::string BindingKey(absl::string_view member, absl::string_view role) {
  return Join(member, role);
}

KeyRange WorkspaceTokens(absl::string_view workspace) { return RangeOf(Join(workspace, "")); }

KeyRange TokensWithLabel(absl::string_view workspace, absl::string_view label) {
  return RangeOf(LabelKey(workspace, label, ""));
}

KeyRange UsesOfToken(absl::string_view workspace, absl::string_view token_id) {
  return RangeOf(UseKey(workspace, token_id, ""));
}

KeyRange UsesOfWorkspace(absl::string_view workspace) { return RangeOf(Join(workspace, "")); }

std::string PrefixEnd(absl::string_view prefix) {
  std::string end(prefix);
  while (!end.empty() && static_cast<uint8_t>(end.back()) == 0xff) end.pop_back();
  if (!end.empty()) end.back() = static_cast<char>(static_cast<uint8_t>(end.back()) + 1);
  return end;
}

std::string KeyAfter(absl::string_view key) { return Join(key, ""); }

std::string DueKey(int64_t time_us, DueKind kind, absl::string_view subject) {
  std::string key;
  AppendBigEndian64(static_cast<uint64_t>(time_us), &key);
  key.push_back(static_cast<char>(kind));
  key.append(subject.data(), subject.size());
  return key;
}

absl::StatusOr<Due> ParseDueKey(absl::string_view key) {
  if (key.size() < 9) return NotAKey("due");
  const uint8_t kind = static_cast<uint8_t>(key[8]);
  if (kind < static_cast<uint8_t>(DueKind::kExpire) ||
      kind > static_cast<uint8_t>(DueKind::kReachPurge)) {
    return NotAKey("due");
  }
  Due due;
  due.time_us = static_cast<int64_t>(ReadBigEndian64(key));
  due.kind = static_cast<DueKind>(kind);
  due.subject = std::string(key.substr(9));
  return due;
}

std::string PurgeKey(int64_t at_us, absl::string_view token_key) {
  return DueKey(0, DueKind::kPurge, absl::StrCat(RevisionKey(at_us), token_key));
}

absl::StatusOr<std::string> ParsePurgeKey(absl::string_view key) {
  ASSIGN_OR_RETURN(const Due due, ParseDueKey(key));
  if (due.kind != DueKind::kPurge || due.time_us != 0 || due.subject.size() < 8) {
    return NotAKey("purge");
  }
  return due.subject.substr(8);
}

absl::StatusOr<TokenKeyParts> ParseTokenKey(absl::string_view key) {
  const std::vector<std::string> parts = absl::StrSplit(key, absl::ByChar(kZero));
  if (parts.size() != 2) return NotAKey("token");
  return TokenKeyParts{parts[0], parts[1]};
}

absl::StatusOr<UseKeyParts> ParseUseKey(absl::string_view key) {
  const std::vector<std::string> parts = absl::StrSplit(key, absl::ByChar(kZero));
  if (parts.size() != 3) return NotAKey("use");
  return UseKeyParts{parts[0], parts[1], parts[2]};
}

absl::StatusOr<int64_t> ParseRevisionKey(absl::string_view key) {
  if (key.size() != 8) return NotAKey("revision");
  return static_cast<int64_t>(ReadBigEndian64(key));
}

absl::StatusOr<std::string> AuditKeyOf(absl::string_view audit_by_token_key) {
  const absl::string_view key = audit_by_token_key;
  if (key.size() <= kAuditKeySize || key[key.size() - kAuditKeySize - 1] != kZero) {
    return NotAKey("audit_by_token");
  }
  return std::string(key.substr(key.size() - kAuditKeySize));
}

absl::StatusOr<absl::optional<std::string>> FingerprintAt(const View& view, int64_t revision) {
  ASSIGN_OR_RETURN(
      absl::optional<store::v1::FingerprintRecord> record,
      GetRecord<store::v1::FingerprintRecord>(view, Table::kFingerprints, RevisionKey(revision)));
  if (!record.has_value()) return absl::optional<std::string>();
  return absl::optional<std::string>(std::move(*record->mutable_fingerprint()));
}

absl::StatusOr<std::vector<store::v1::TermRecord>> ReadTerms(const View& view) {
  constexpr size_t kPage = 1000;
  std::vector<store::v1::TermRecord> terms;
  std::string begin(kTermPrefix);
  const std::string end = PrefixEnd(kTermPrefix);
  while (true) {
    ASSIGN_OR_RETURN(const std::vector<Entry> page, view.Scan(Table::kMeta, begin, end, kPage));
    for (const Entry& entry : page) {
      store::v1::TermRecord term;
      if (!term.ParseFromString(entry.value)) {
        return absl::DataLossError("a term's record cannot be parsed");
      }
      terms.push_back(std::move(term));
    }
    if (page.size() < kPage) return terms;
    begin = KeyAfter(page.back().key);
  }
}

absl::StatusOr<store::v1::HeadRecord> ReadHead(const View& view) {
  const auto corrupt = [](absl::string_view what) {
    return base::Refuse(absl::StatusCode::kDataLoss, "STORE_CORRUPT",
                        absl::StrCat("the store is damaged: ", what));
  };
  absl::StatusOr<absl::optional<std::string>> value = view.Get(Table::kMeta, kHeadKey);
  if (!value.ok()) return value.status();
  if (!value->has_value()) return corrupt("it has no HeadRecord");
  store::v1::HeadRecord head;
  if (!head.ParseFromString(**value)) return corrupt("its HeadRecord cannot be parsed");
  if (head.revision() > kLastRevision) {
    return corrupt(absl::StrCat("its HeadRecord is of revision ", head.revision(),
                                ", which no store reaches"));
  }
  for (const auto& [name, revision] :
       {std::pair<absl::string_view, int64_t>("compacted_revision", head.compacted_revision()),
        std::pair<absl::string_view, int64_t>("last_event_revision", head.last_event_revision())}) {
    if (revision < 0 || revision > head.revision()) {
      return corrupt(absl::StrCat("the ", name, " of its HeadRecord is ", revision,
                                  ", which is not among the revisions up to its head, ",
                                  head.revision()));
    }
  }
  return head;
}

}  // namespace tollgate::storage
