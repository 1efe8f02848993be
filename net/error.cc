#include "net/error.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/string_view.h"
#include "base/proto_time.h"
#include "base/status.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"

namespace tollgate::net {
namespace {

// grpc-message is percent-encoded (up to three bytes for one) and the details are in base64, and
// both must fit into 8 KiB with everything else.
constexpr size_t kMaxMessageBytes = 1024;
constexpr size_t kMaxDetailsBytes = 3072;
constexpr size_t kMaxFieldBytes = 512;

// At most `limit` bytes of `text`, as valid UTF-8 (a proto3 string must be): anything else is '?'.
std::string Presentable(absl::string_view text, size_t limit) {
  std::string out;
  size_t i = 0;
  while (i < text.size()) {
    const auto at = [&](size_t k) { return static_cast<unsigned char>(text[k]); };
    const unsigned char c = at(i);
    size_t length = c < 0x80                ? 1
                    : c >= 0xC2 && c < 0xE0 ? 2
                    : c >= 0xE0 && c < 0xF0 ? 3
                    : c >= 0xF0 && c < 0xF5 ? 4
                                            : 0;
    bool good = length > 0 && i + length <= text.size();
    for (size_t k = 1; good && k < length; ++k) good = (at(i + k) & 0xC0) == 0x80;
    if (good && length == 3) {
      good = !(c == 0xE0 && at(i + 1) < 0xA0) && !(c == 0xED && at(i + 1) > 0x9F);
    } else if (good && length == 4) {
      good = !(c == 0xF0 && at(i + 1) < 0x90) && !(c == 0xF4 && at(i + 1) > 0x8F);
    }
    if (!good) length = 1;
    if (out.size() + length + 3 > limit) return out + "...";
    if (good) {
      out.append(text.data() + i, length);
    } else {
      out.push_back('?');
    }
    i += length;
  }
  return out;
}

}  // namespace

grpc::Status ToGrpcStatus(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  const base::ErrorDetails details = base::DetailsOf(status);
  const std::string message = Presentable(status.message(), kMaxMessageBytes);

  google::rpc::Status wire;
  wire.set_code(static_cast<int>(status.code()));
  wire.set_message(message);
  size_t used = message.size();

  google::rpc::ErrorInfo info;
  info.set_reason(Presentable(details.reason, kMaxFieldBytes));
  info.set_domain(kErrorDomain);
  for (const auto& [name, value] : details.metadata) {
    const std::string key = Presentable(name, kMaxFieldBytes);
    const std::string text = Presentable(value, kMaxFieldBytes);
    if (used + key.size() + text.size() > kMaxDetailsBytes) break;
    used += key.size() + text.size();
    (*info.mutable_metadata())[key] = text;
  }
  wire.add_details()->PackFrom(info);

  google::rpc::BadRequest bad;
  for (const base::FieldViolation& field : details.fields) {
    const std::string path = Presentable(field.field, kMaxFieldBytes);
    const std::string why = Presentable(field.description, kMaxFieldBytes);
    if (used + path.size() + why.size() > kMaxDetailsBytes) break;
    used += path.size() + why.size();
    auto* violation = bad.add_field_violations();
    violation->set_field(path);
    violation->set_description(why);
  }
  if (bad.field_violations_size() > 0) wire.add_details()->PackFrom(bad);

  if (details.retry_after.has_value()) {
    google::rpc::RetryInfo retry;
    *retry.mutable_retry_delay() = base::ToProto(
        std::clamp(*details.retry_after, absl::ZeroDuration(), absl::Hours(24 * 365)));
    wire.add_details()->PackFrom(retry);
  }
  return grpc::Status(static_cast<grpc::StatusCode>(status.code()), message,
                      wire.SerializeAsString());
}

absl::Status FromGrpcStatus(const grpc::Status& status) {
  if (status.ok()) return absl::OkStatus();
  const auto number = static_cast<int>(status.error_code());
  const absl::StatusCode code = number >= 1 && number <= 16 ? static_cast<absl::StatusCode>(number)
                                                            : absl::StatusCode::kUnknown;

  base::ErrorDetails details;
  google::rpc::Status wire;
  if (!status.error_details().empty() && wire.ParseFromString(status.error_details())) {
    for (const google::protobuf::Any& any : wire.details()) {
      google::rpc::ErrorInfo info;
      google::rpc::BadRequest bad;
      google::rpc::RetryInfo retry;
      if (any.Is<google::rpc::ErrorInfo>() && any.UnpackTo(&info)) {
        details.reason = info.reason();
        for (const auto& [name, value] : info.metadata())
          details.metadata.emplace_back(name, value);
        std::sort(details.metadata.begin(), details.metadata.end());  // a map has no order
      } else if (any.Is<google::rpc::BadRequest>() && any.UnpackTo(&bad)) {
        for (const auto& field : bad.field_violations()) {
          details.fields.push_back({field.field(), field.description()});
        }
      } else if (any.Is<google::rpc::RetryInfo>() && any.UnpackTo(&retry)) {
        details.retry_after = base::FromProto(retry.retry_delay());
      }
    }
  }
  if (details.reason.empty() && details.fields.empty() && !details.retry_after.has_value()) {
    return absl::Status(code, status.error_message());
  }
  return base::Refuse(code, status.error_message(), details);
}

}  // namespace tollgate::net
