#include "cli/commands/audit_text.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "base/duration.h"
#include "base/proto_time.h"
#include "cli/human.h"
#include "google/protobuf/struct.pb.h"
#include "google/protobuf/util/time_util.h"

namespace tollgate::cli {
namespace {

using google::protobuf::Value;
using google::protobuf::util::TimeUtil;
using tollgate::v1::AuditEntry;
using tollgate::v1::FieldChange;

constexpr char kAgain[] = "_again";

std::string AbsoluteText(absl::Time time, bool seconds) {
  return absl::FormatTime(seconds ? "%Y-%m-%d %H:%M:%S UTC" : "%Y-%m-%d %H:%M UTC", time,
                          absl::UTCTimeZone());
}

// A detail of the entry; "" where there is none.
std::string Detail(const AuditEntry& entry, const std::string& name) {
  const auto it = entry.details().find(name);
  return it == entry.details().end() ? "" : it->second;
}

// "4mXp81QzR0aYc7Ld" of a token's name.
std::string IdIn(absl::string_view name) {
  return std::string(name.substr(name.rfind('/') == name.npos ? 0 : name.rfind('/') + 1));
}

// A time in RFC 3339 as people read it; the text itself where it is none.
std::string TimeValue(const std::string& text) {
  absl::Time time;
  std::string error;
  if (!absl::ParseTime(absl::RFC3339_full, text, &time, &error)) return text;
  return AbsoluteText(time, /*seconds=*/false);
}

// "7776000s" as "90 days".
std::string DurationValue(const std::string& text) {
  google::protobuf::Duration duration;
  if (!TimeUtil::FromString(text, &duration)) return text;
  return base::TextFromDuration(base::FromProto(duration));
}

// Of a field's value, as the resource's JSON has it.
std::string ValueText(absl::string_view field, const Value& value) {
  switch (value.kind_case()) {
    case Value::kBoolValue:
      return value.bool_value() ? "yes" : "no";
    case Value::kNumberValue:
      return absl::StrCat(value.number_value());
    case Value::kStringValue: {
      const std::string& text = value.string_value();
      if (absl::EndsWith(field, "_time")) return TimeValue(text);
      if (absl::StartsWith(field, "max_") || absl::EndsWith(field, "_period")) {
        return DurationValue(text);
      }
      return field == "owner" ? text : absl::StrCat("\"", text, "\"");
    }
    case Value::kListValue:
      return absl::StrJoin(
          value.list_value().values(), ", ",
          [](std::string* out, const Value& one) { absl::StrAppend(out, one.string_value()); });
    case Value::kStructValue: {  // a plan of retirement
      const auto& plan = value.struct_value().fields();
      if (const auto at = plan.find("at_time"); at != plan.end()) {
        return absl::StrCat("at ", TimeValue(at->second.string_value()));
      }
      if (const auto quiet = plan.find("when_silent"); quiet != plan.end()) {
        return absl::StrCat("when silent for ", DurationValue(quiet->second.string_value()));
      }
      return "by hand";
    }
    default:
      return field == "expire_time" ? "never" : "none";
  }
}

std::string FieldText(absl::string_view field) {
  if (field == "expire_time") return "expires";
  if (field == "retire_plan") return "retires";
  if (absl::ConsumePrefix(&field, "annotations.")) return absl::StrCat("annotation ", field);
  return absl::StrReplaceAll(field, {{"_", " "}});
}

bool IsNull(const Value& value) {
  return value.kind_case() == Value::kNullValue || value.kind_case() == Value::KIND_NOT_SET;
}

std::string ChangeText(const FieldChange& change) {
  const std::string name = FieldText(change.field());
  if (!change.has_after()) return absl::StrCat(name, " changed, too long to keep");
  const std::string after = ValueText(change.field(), change.after());
  const std::string cut = change.cut() ? " … (cut)" : "";
  // A plan that comes to be is no change of one.
  const bool alone =
      !change.has_before() || (change.field() == "retire_plan" && IsNull(change.before()));
  if (alone) return absl::StrCat(name, " ", after, cut);
  return absl::StrCat(name, " ", ValueText(change.field(), change.before()), " -> ", after, cut);
}

// "revoked, with all 312 of owner team-a".
std::string CohortText(const AuditEntry& entry) {
  const std::string count = Detail(entry, "token_count");
  const std::string owner = Detail(entry, "owner");
  return absl::StrCat("revoked, with all", count.empty() ? "" : " ", count, " of ",
                      owner.empty() ? "the workspace" : absl::StrCat("owner ", owner));
}

std::string RetiredText(const AuditEntry& entry) {
  std::string text = "retired";
  const std::string why = Detail(entry, "because");
  if (why == "given_up") absl::StrAppend(&text, ", never used");
  if (Detail(entry, "forced") == "true") absl::StrAppend(&text, ", by force");
  const std::string last = Detail(entry, "last_used_time");
  if (!last.empty()) {
    absl::StrAppend(&text, why == "silent" ? ", silent since " : ", last used ", TimeValue(last),
                    " at ", Detail(entry, "last_used_edge"));
  }
  return text;
}

std::string RotatedText(const AuditEntry& entry, absl::string_view token_name) {
  const std::string replaced_by = Detail(entry, "replaced_by");
  const std::string given_up = Detail(entry, "given_up");
  if (replaced_by == token_name) {
    const std::string expires = Detail(entry, "replacement_expire_time");
    return absl::StrCat("created, to replace ", IdIn(entry.resource()),
                        expires.empty() ? "" : "; expires ",
                        expires.empty() ? "" : TimeValue(expires));
  }
  if (given_up == token_name) {
    return replaced_by.empty() ? absl::StrCat("given up: the rotation of ", IdIn(entry.resource()),
                                              " was taken back")
                               : absl::StrCat("given up, for ", IdIn(replaced_by));
  }
  if (replaced_by.empty()) return absl::StrCat("rotation taken back; gave up ", IdIn(given_up));
  return absl::StrCat(given_up.empty() ? "rotated" : "rotated again", ": replaced by ",
                      IdIn(replaced_by));
}

std::string VerbText(const AuditEntry& entry, absl::string_view token_name) {
  absl::string_view action = entry.action();
  const bool again = absl::ConsumeSuffix(&action, kAgain);
  static const auto& words = *new std::vector<std::pair<absl::string_view, absl::string_view>>{
      {"token.create", "created"},
      {"token.update", "changed"},
      {"token.suspend", "suspended"},
      {"token.resume", "resumed"},
      {"token.replan", "retirement planned anew"},
      {"token.revoke", "revoked"},
      {"token.revoke_leaked", "revoked, as leaked"},
      {"token.expire", "expired"},
      {"token.expire_unused", "expired, unused"},
  };
  if (action == "token.rotate" || action == "token.cancel_rotation") {
    return RotatedText(entry, token_name);
  }
  if (action == "token.retire") return RetiredText(entry);
  if (action == "cohort.revoke") return CohortText(entry);
  std::string verb(action);
  for (const auto& [name, word] : words) {
    if (action == name) verb = std::string(word);
  }
  if (again) return absl::StrCat(verb, " once more, which changed nothing");
  const std::string change = Detail(entry, "change");  // of a restore
  return change.empty() ? verb : absl::StrCat(verb, " (", change, ")");
}

}  // namespace

const std::vector<std::string>& AuditActions() {
  static const auto& actions = *new std::vector<std::string>{"token.*",
                                                             "token.create",
                                                             "token.update",
                                                             "token.rotate",
                                                             "token.replan",
                                                             "token.cancel_rotation",
                                                             "token.retire",
                                                             "token.suspend",
                                                             "token.resume",
                                                             "token.revoke",
                                                             "token.revoke_leaked",
                                                             "token.expire",
                                                             "token.expire_unused",
                                                             "cohort.revoke",
                                                             "workspace.*",
                                                             "workspace.create",
                                                             "workspace.update",
                                                             "workspace.delete",
                                                             "policy.update",
                                                             "validator.forget",
                                                             "backup.create",
                                                             "service.start",
                                                             "clock.*",
                                                             "restore",
                                                             "restore.replay"};
  return actions;
}

std::string WhenText(absl::Time time, absl::Time now) {
  return absl::StrCat(AbsoluteText(time, /*seconds=*/true), " (",
                      HumanTime(std::min(time, now), now), ")");
}

std::string WhoText(const AuditEntry& entry) {
  return entry.origin().empty() ? entry.actor()
                                : absl::StrCat(entry.actor(), " (", entry.origin(), ")");
}

std::string ChangesText(const AuditEntry& entry) {
  return absl::StrJoin(entry.changes(), "; ", [](std::string* out, const FieldChange& change) {
    absl::StrAppend(out, ChangeText(change));
  });
}

std::string WhatText(const AuditEntry& entry, absl::string_view token_name) {
  std::string text = VerbText(entry, token_name);
  // What another token's entry changed is told of that one.
  if (entry.resource() == token_name && entry.changes_size() > 0) {
    absl::StrAppend(&text, absl::StrContains(text, ": ") ? "; " : ": ", ChangesText(entry));
  }
  if (!entry.reason().empty()) {
    absl::StrAppend(&text, absl::StrContains(text, ": ") ? "; reason: " : ": ", entry.reason());
  }
  return text;
}

}  // namespace tollgate::cli
