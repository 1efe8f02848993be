#include "service/records/audit_changes.h"

#include <algorithm>
#include <cstdint>
#include <set>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/types/optional.h"
#include "base/proto_time.h"
#include "google/protobuf/util/time_util.h"
#include "service/records/retention.h"

namespace tollgate::service {
namespace {

using ::google::protobuf::Value;
using ::google::protobuf::util::TimeUtil;
using ::tollgate::store::v1::AuditChange;
using ::tollgate::store::v1::AuditRecord;
using ::tollgate::store::v1::BindingRecord;
using ::tollgate::store::v1::PolicyRecord;
using ::tollgate::store::v1::Retirement;
using ::tollgate::store::v1::TokenRecord;
using ::tollgate::store::v1::WorkspaceRecord;
using Strings = google::protobuf::RepeatedPtrField<std::string>;

Value Null() {
  Value value;
  value.set_null_value(google::protobuf::NULL_VALUE);
  return value;
}

Value Text(absl::string_view text) {
  if (text.empty()) return Null();
  Value value;
  value.set_string_value(std::string(text));
  return value;
}

Value Flag(bool flag) {
  Value value;
  value.set_bool_value(flag);
  return value;
}

Value NumberOf(int64_t number) {
  if (number == 0) return Null();
  Value value;
  value.set_number_value(static_cast<double>(number));
  return value;
}

Value TimeOf(int64_t us) {
  return us == 0 ? Null() : Text(TimeUtil::ToString(base::TimestampFromMicros(us)));
}

Value DurationOf(int64_t us) {
  return us == 0 ? Null() : Text(TimeUtil::ToString(base::DurationFromMicros(us)));
}

// For ever is 0s, as in WorkspacePolicy.ended_retention.
Value RetentionOf(int64_t us) {
  return us == kKeepEnded ? Text(TimeUtil::ToString(base::DurationFromMicros(0))) : DurationOf(us);
}

Value ListOf(const Strings& strings) {
  if (strings.empty()) return Null();
  Value value;
  for (const std::string& one : strings) *value.mutable_list_value()->add_values() = Text(one);
  return value;
}

// As RetirePlan's JSON.
Value PlanOf(const Retirement& plan) {
  Value value;
  if (plan.at_time_us() != 0) {
    (*value.mutable_struct_value()->mutable_fields())["at_time"] = TimeOf(plan.at_time_us());
  } else if (plan.quiet_period_us() != 0) {
    (*value.mutable_struct_value()->mutable_fields())["when_silent"] =
        DurationOf(plan.quiet_period_us());
  } else if (plan.by_hand()) {
    (*value.mutable_struct_value()->mutable_fields())["by_hand"] = Flag(true);
  } else {
    return Null();
  }
  return value;
}

// The text's beginning, of whole characters.
std::string CutText(const std::string& text, size_t most) {
  size_t size = std::min(text.size(), most);
  while (size < text.size() && size > 0 && (text[size] & 0xC0) == 0x80) --size;
  return text.substr(0, size);
}

// Cuts the value to what is kept of it; true where that was needed.
bool Cut(size_t most, Value* value) {
  if (value->has_string_value()) {
    if (value->string_value().size() <= most) return false;
    value->set_string_value(CutText(value->string_value(), most));
    return true;
  }
  if (!value->has_list_value()) return false;
  auto& list = *value->mutable_list_value()->mutable_values();
  size_t size = 0;
  for (int i = 0; i < list.size(); ++i) {
    size += list[i].string_value().size();
    if (size <= most) continue;
    list.DeleteSubrange(i, list.size() - i);
    return true;
  }
  return false;
}

size_t SizeOf(const Value& value) {
  if (value.has_string_value()) return value.string_value().size();
  size_t size = 0;
  for (const Value& one : value.list_value().values()) size += one.string_value().size();
  return size;
}

class Notes {
 public:
  // `made`: nothing was before.
  Notes(bool made, AuditRecord* entry) : made_(made), entry_(entry) {
    for (const AuditChange& change : entry->changes()) Count(change);
  }

  // Adds a field whose values, `before` and `after`, differ; `value` makes one of each.
  template <typename T, typename ToValue>
  void Compare(absl::string_view field, const T& before, const T& after, ToValue value) {
    if (Same(before, after)) return;
    Add(field, value(before), value(after));
  }

 private:
  static bool Same(const Strings& a, const Strings& b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end());
  }
  static bool Same(const Retirement& a, const Retirement& b) {
    return a.at_time_us() == b.at_time_us() && a.quiet_period_us() == b.quiet_period_us() &&
           a.by_hand() == b.by_hand();
  }
  template <typename T>
  static bool Same(const T& a, const T& b) {
    return a == b;
  }

  void Add(absl::string_view field, Value before, Value after) {
    AuditChange change;
    change.set_field(std::string(field));
    const bool cut_before = Cut(kMostOfValue, &before);
    const bool cut_after = Cut(kMostOfValue, &after);
    change.set_cut(cut_before || cut_after);
    if (!made_) *change.mutable_before() = std::move(before);
    *change.mutable_after() = std::move(after);
    if (SizeOf(change.before()) + SizeOf(change.after()) + size_ > kMostOfEntry) {
      change.clear_before();
      change.clear_after();
      change.set_cut(true);
    }
    Count(change);
    *entry_->add_changes() = std::move(change);
  }

  void Count(const AuditChange& change) {
    size_ += SizeOf(change.before()) + SizeOf(change.after());
  }

  const bool made_;
  AuditRecord* const entry_;
  size_t size_ = 0;
};

void Note(const TokenRecord& before, const TokenRecord& after, bool made, AuditRecord* entry) {
  Notes notes(made, entry);
  notes.Compare("label", before.label(), after.label(), Text);
  notes.Compare("scopes", before.scopes(), after.scopes(), ListOf);
  notes.Compare("audiences", before.audiences(), after.audiences(), ListOf);
  notes.Compare("owner", before.owner(), after.owner(), Text);
  notes.Compare("expire_time", before.expire_time_us(), after.expire_time_us(), TimeOf);
  notes.Compare("retire_plan", before.retirement(), after.retirement(), PlanOf);
  std::set<std::string> keys;
  for (const auto* annotations : {&before.annotations(), &after.annotations()}) {
    for (const auto& [key, value] : *annotations) keys.insert(key);
  }
  const auto annotation = [](const TokenRecord& record, const std::string& key) {
    const auto it = record.annotations().find(key);
    return it == record.annotations().end() ? absl::nullopt : absl::make_optional(it->second);
  };
  for (const std::string& key : keys) {
    notes.Compare(absl::StrCat("annotations.", key), annotation(before, key),
                  annotation(after, key), [](const absl::optional<std::string>& text) {
                    Value value = Null();
                    if (text.has_value()) value.set_string_value(*text);  // an empty one is one
                    return value;
                  });
  }
}

void Note(const PolicyRecord& before, const PolicyRecord& after, bool made, AuditRecord* entry) {
  Notes notes(made, entry);
  notes.Compare("label_pattern", before.label_pattern(), after.label_pattern(), Text);
  notes.Compare("unique_labels", before.unique_labels(), after.unique_labels(), Flag);
  notes.Compare("max_lifetime", before.max_lifetime_us(), after.max_lifetime_us(), DurationOf);
  notes.Compare("rotation_period", before.rotation_period_us(), after.rotation_period_us(),
                DurationOf);
  notes.Compare("max_unused", before.max_unused_us(), after.max_unused_us(), DurationOf);
  notes.Compare("ended_retention", before.ended_retention_us(), after.ended_retention_us(),
                RetentionOf);
  notes.Compare("max_live_tokens", before.max_live_tokens(), after.max_live_tokens(), NumberOf);
  notes.Compare("grantable_scopes", before.grantable_scopes(), after.grantable_scopes(), ListOf);
  notes.Compare("edge_annotations", before.edge_annotations(), after.edge_annotations(), ListOf);
  notes.Compare("report_attempt_addresses", before.report_attempt_addresses(),
                after.report_attempt_addresses(), Flag);
}

void Note(const WorkspaceRecord& before, const WorkspaceRecord& after, bool made,
          AuditRecord* entry) {
  Notes(made, entry).Compare("display_name", before.display_name(), after.display_name(), Text);
  Note(before.policy(), after.policy(), made, entry);
}

// Where a binding holds: the workspaces by name, `workspaces/-` for everywhere, and none at all.
Strings PlacesOf(const BindingRecord& record) {
  Strings places;
  const bool nowhere = record.withdrawn() || record.role().empty();
  for (const std::string& workspace : record.workspaces()) {
    places.Add(absl::StrCat("workspaces/", workspace));
  }
  if (places.empty() && !nowhere) places.Add("workspaces/-");
  return places;
}

}  // namespace

void NoteChanges(const TokenRecord& before, const TokenRecord& after, AuditRecord* entry) {
  Note(before, after, /*made=*/false, entry);
}

void NoteChanges(const PolicyRecord& before, const PolicyRecord& after, AuditRecord* entry) {
  Note(before, after, /*made=*/false, entry);
}

void NoteChanges(const WorkspaceRecord& before, const WorkspaceRecord& after, AuditRecord* entry) {
  Note(before, after, /*made=*/false, entry);
}

void NoteChanges(const BindingRecord& before, const BindingRecord& after, AuditRecord* entry) {
  Notes(/*made=*/false, entry).Compare("workspaces", PlacesOf(before), PlacesOf(after), ListOf);
}

void NoteMade(const TokenRecord& made, AuditRecord* entry) {
  Note(TokenRecord(), made, /*made=*/true, entry);
}

void NoteMade(const PolicyRecord& made, AuditRecord* entry) {
  Note(PolicyRecord(), made, /*made=*/true, entry);
}

void NoteMade(const WorkspaceRecord& made, AuditRecord* entry) {
  Note(WorkspaceRecord(), made, /*made=*/true, entry);
}

}  // namespace tollgate::service
