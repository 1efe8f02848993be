#include "base/status.h"

#include <nlohmann/json.hpp>

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"

namespace tollgate::base {
namespace {

// Inside one process only: net/error.h turns it into google.rpc details at the
// edge of the process, so the encoding may change with any build.
constexpr char kTypeUrl[] = "tollgate/error-details";

std::string Encode(const ErrorDetails& details) {
  nlohmann::json json = {{"r", details.reason}};
  if (!details.metadata.empty()) json["m"] = details.metadata;
  if (!details.fields.empty()) {
    auto& fields = json["f"] = nlohmann::json::array();
    for (const FieldViolation& violation : details.fields) {
      fields.push_back({violation.field, violation.description});
    }
  }
  if (details.retry_after.has_value()) {
    json["a"] = absl::ToInt64Nanoseconds(*details.retry_after);
  }
  // Replaces invalid UTF-8 rather than throwing: a description may quote a caller's bytes.
  return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

// False where the bytes are not what Encode makes.
bool Decode(const std::string& bytes, ErrorDetails* details) {
  const nlohmann::json json = nlohmann::json::parse(bytes, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return false;
  const auto is_pair = [](const nlohmann::json& j) {
    return j.is_array() && j.size() == 2 && j[0].is_string() && j[1].is_string();
  };
  if (auto r = json.find("r"); r != json.end() && r->is_string()) {
    details->reason = r->get<std::string>();
  }
  if (auto m = json.find("m"); m != json.end() && m->is_array()) {
    for (const nlohmann::json& j : *m) {
      if (is_pair(j)) {
        details->metadata.emplace_back(j[0].get<std::string>(), j[1].get<std::string>());
      }
    }
  }
  if (auto f = json.find("f"); f != json.end() && f->is_array()) {
    for (const nlohmann::json& j : *f) {
      if (is_pair(j)) {
        details->fields.push_back({j[0].get<std::string>(), j[1].get<std::string>()});
      }
    }
  }
  if (auto a = json.find("a"); a != json.end() && a->is_number_integer()) {
    details->retry_after = absl::Nanoseconds(a->get<int64_t>());
  }
  return true;
}

}  // namespace

absl::Status Refuse(absl::StatusCode code, absl::string_view reason, absl::string_view message) {
  ErrorDetails details;
  details.reason = std::string(reason);
  return Refuse(code, message, details);
}

absl::Status Refuse(absl::StatusCode code, absl::string_view message, const ErrorDetails& details) {
  // A refusal must not come out as OK.
  if (code == absl::StatusCode::kOk) code = absl::StatusCode::kInternal;
  absl::Status status(code, message);
  status.SetPayload(kTypeUrl, absl::Cord(Encode(details)));
  return status;
}

absl::Status RefuseField(absl::string_view reason, absl::string_view field,
                         absl::string_view description) {
  ErrorDetails details;
  details.reason = std::string(reason);
  details.fields.push_back({std::string(field), std::string(description)});
  return Refuse(absl::StatusCode::kInvalidArgument, absl::StrCat(field, ": ", description),
                details);
}

absl::Status RefuseForNow(absl::string_view reason, absl::string_view message,
                          absl::Duration retry_after) {
  ErrorDetails details;
  details.reason = std::string(reason);
  details.retry_after = retry_after;
  return Refuse(absl::StatusCode::kUnavailable, message, details);
}

ErrorDetails DetailsOf(const absl::Status& status) {
  ErrorDetails details;
  if (status.ok()) return details;
  const auto payload = status.GetPayload(kTypeUrl);
  if (payload.has_value()) Decode(std::string(*payload), &details);
  if (details.reason.empty()) details.reason = absl::StatusCodeToString(status.code());
  return details;
}

std::string ReasonOf(const absl::Status& status) { return DetailsOf(status).reason; }

}  // namespace tollgate::base
