#include "cli/json.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "base/secret.h"
#include "base/status.h"
#include "cli/output.h"
#include "google/protobuf/util/json_util.h"
#include "token/characters.h"

namespace tollgate::cli {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

// Longer than any answer with a secret in it: no copy is left behind by growing.
constexpr size_t kRoomForSecret = 1 << 16;

void AppendUnit(uint32_t unit, std::string* out) { absl::StrAppendFormat(out, "\\u%04x", unit); }

bool IsPlain(char c) { return c >= ' ' && c <= '~' && c != '"' && c != '\\'; }

void AppendString(absl::string_view text, std::string* out) {
  out->push_back('"');
  for (size_t i = 0; i < text.size();) {
    const size_t begin = i;
    // Mostly plain ASCII, which stands for itself.
    while (i < text.size() && IsPlain(text[i])) ++i;
    if (i > begin) {
      out->append(text.data() + begin, i - begin);
      continue;
    }
    const uint32_t point = token::NextCodePoint(text, &i);
    if (point == token::kNoCodePoint) {
      out->append("\\ufffd");
    } else if (point == '"' || point == '\\') {
      out->push_back('\\');
      out->push_back(static_cast<char>(point));
    } else if (point == '\n') {
      out->append("\\n");
    } else if (!DrivesOrDeceives(point)) {
      out->append(text.data() + begin, i - begin);
    } else if (point > 0xFFFF) {
      AppendUnit(0xD800 + ((point - 0x10000) >> 10), out);
      AppendUnit(0xDC00 + ((point - 0x10000) & 0x3FF), out);
    } else {
      AppendUnit(point, out);
    }
  }
  out->push_back('"');
}

template <typename Number>
std::string NumberText(Number number) {
  if constexpr (std::is_floating_point_v<Number>) {
    // JSON has no other numbers.
    if (!std::isfinite(number)) return "null";
    return absl::StrFormat("%.*g", std::numeric_limits<Number>::max_digits10, number);
  } else {
    return absl::StrCat(number);
  }
}

// Whether an empty list stands for "not asked for", rather than for "there is none".
bool MayBeUnasked(const FieldDescriptor& field) {
  return field.full_name() == "tollgate.v1.Token.edge_uses";
}

class Writer {
 public:
  Writer(JsonLayout layout, std::string* out)
      : indented_(layout == JsonLayout::kIndented), out_(out) {}

  absl::Status Write(const Message& message, const JsonMembers& more = {}) {
    const google::protobuf::Descriptor& type = *message.GetDescriptor();
    if (type.file()->package() == "google.protobuf") return WriteWellKnown(message);
    const Reflection& reflection = *message.GetReflection();
    Begin('{');
    for (int i = 0; i < type.field_count(); ++i) {
      const FieldDescriptor& field = *type.field(i);
      if (field.is_repeated()) {
        if (MayBeUnasked(field) && reflection.FieldSize(message, &field) == 0) continue;
      } else if ((field.has_presence() || field.name() == "next_page_token") &&
                 !reflection.HasField(message, &field)) {
        continue;
      }
      Name(field.name());
      RETURN_IF_ERROR(WriteField(message, reflection, field));
    }
    for (const auto& [name, value] : more) {
      Name(name);
      out_->append(value);
    }
    End('}');
    return absl::OkStatus();
  }

  absl::Status WriteList(absl::string_view name, const std::vector<const Message*>& messages,
                         const JsonMembers& more) {
    Begin('{');
    Name(name);
    Begin('[');
    for (const Message* message : messages) {
      Next();
      RETURN_IF_ERROR(Write(*message));
    }
    End(']');
    for (const auto& [other, value] : more) {
      Name(other);
      out_->append(value);
    }
    End('}');
    return absl::OkStatus();
  }

 private:
  // Times, durations and their like: protobuf's own spelling.
  absl::Status WriteWellKnown(const Message& message) {
    std::string json;
    const auto made = google::protobuf::util::MessageToJsonString(message, &json);
    if (made.ok()) {
      out_->append(json);
      return absl::OkStatus();
    }
    return base::Refuse(absl::StatusCode::kInternal, "ANSWER_NOT_JSON",
                        "the service has done what was asked, and its answer cannot be written as "
                        "JSON: a value in it is out of bounds, as a time after the year 9999. "
                        "Leave out -o json to see it");
  }

  absl::Status WriteField(const Message& message, const Reflection& reflection,
                          const FieldDescriptor& field) {
    if (field.is_map()) return WriteMap(message, reflection, field);
    if (!field.is_repeated()) return WriteValue(message, reflection, field, -1);
    Begin('[');
    for (int i = 0; i < reflection.FieldSize(message, &field); ++i) {
      Next();
      RETURN_IF_ERROR(WriteValue(message, reflection, field, i));
    }
    End(']');
    return absl::OkStatus();
  }

  // By key, because protobuf keeps no order.
  absl::Status WriteMap(const Message& message, const Reflection& reflection,
                        const FieldDescriptor& field) {
    std::vector<const Message*> pairs;
    pairs.reserve(static_cast<size_t>(reflection.FieldSize(message, &field)));
    for (int i = 0; i < reflection.FieldSize(message, &field); ++i) {
      pairs.push_back(&reflection.GetRepeatedMessage(message, &field, i));
    }
    const FieldDescriptor& key = *field.message_type()->map_key();
    const FieldDescriptor& value = *field.message_type()->map_value();
    const auto key_of = [&](const Message& pair) {
      std::string text;
      Writer(JsonLayout::kLine, &text)
          .WriteValue(pair, *pair.GetReflection(), key, -1)
          .IgnoreError();
      return text[0] == '"' ? text : absl::StrCat("\"", text, "\"");
    };
    std::sort(pairs.begin(), pairs.end(),
              [&](const Message* a, const Message* b) { return key_of(*a) < key_of(*b); });
    Begin('{');
    for (const Message* pair : pairs) {
      Next();
      out_->append(key_of(*pair));
      out_->append(indented_ ? ": " : ":");
      RETURN_IF_ERROR(WriteValue(*pair, *pair->GetReflection(), value, -1));
    }
    End('}');
    return absl::OkStatus();
  }

  // One value; of a repeated field the nth.
  absl::Status WriteValue(const Message& message, const Reflection& reflection,
                          const FieldDescriptor& field, int n) {
    const auto read = [&](auto single, auto repeated) {
      return n < 0 ? (reflection.*single)(message, &field)
                   : (reflection.*repeated)(message, &field, n);
    };
    switch (field.cpp_type()) {
      case FieldDescriptor::CPPTYPE_INT32:
        out_->append(NumberText(read(&Reflection::GetInt32, &Reflection::GetRepeatedInt32)));
        break;
      case FieldDescriptor::CPPTYPE_INT64:
        out_->append(NumberText(read(&Reflection::GetInt64, &Reflection::GetRepeatedInt64)));
        break;
      case FieldDescriptor::CPPTYPE_UINT32:
        out_->append(NumberText(read(&Reflection::GetUInt32, &Reflection::GetRepeatedUInt32)));
        break;
      case FieldDescriptor::CPPTYPE_UINT64:
        out_->append(NumberText(read(&Reflection::GetUInt64, &Reflection::GetRepeatedUInt64)));
        break;
      case FieldDescriptor::CPPTYPE_FLOAT:
        out_->append(NumberText(read(&Reflection::GetFloat, &Reflection::GetRepeatedFloat)));
        break;
      case FieldDescriptor::CPPTYPE_DOUBLE:
        out_->append(NumberText(read(&Reflection::GetDouble, &Reflection::GetRepeatedDouble)));
        break;
      case FieldDescriptor::CPPTYPE_BOOL:
        out_->append(read(&Reflection::GetBool, &Reflection::GetRepeatedBool) ? "true" : "false");
        break;
      case FieldDescriptor::CPPTYPE_ENUM:
        AppendString(EnumWord(*field.enum_type(),
                              read(&Reflection::GetEnumValue, &Reflection::GetRepeatedEnumValue)),
                     out_);
        break;
      case FieldDescriptor::CPPTYPE_STRING: {
        std::string scratch;
        const std::string& text =
            n < 0 ? reflection.GetStringReference(message, &field, &scratch)
                  : reflection.GetRepeatedStringReference(message, &field, n, &scratch);
        const bool bytes = field.type() == FieldDescriptor::TYPE_BYTES;
        AppendString(bytes ? absl::Base64Escape(text) : absl::string_view(text), out_);
        break;
      }
      case FieldDescriptor::CPPTYPE_MESSAGE:
        return Write(n < 0 ? reflection.GetMessage(message, &field)
                           : reflection.GetRepeatedMessage(message, &field, n));
    }
    return absl::OkStatus();
  }

  void Begin(char bracket) {
    out_->push_back(bracket);
    ++depth_;
    empty_ = true;
  }
  // Between the elements, and before the first.
  void Next() {
    if (!empty_) out_->push_back(',');
    empty_ = false;
    NewLine();
  }
  void Name(absl::string_view name) {
    Next();
    AppendString(name, out_);
    out_->append(indented_ ? ": " : ":");
  }
  void End(char bracket) {
    --depth_;
    if (!empty_) NewLine();
    out_->push_back(bracket);
    empty_ = false;
  }
  void NewLine() {
    if (!indented_) return;
    out_->push_back('\n');
    out_->append(2 * depth_, ' ');
  }

  const bool indented_;
  std::string* const out_;
  size_t depth_ = 0;
  bool empty_ = true;
};

// "TOKEN_STATE_" of TokenState.
std::string PrefixOf(const std::string& type) {
  std::string prefix;
  for (const char c : type) {
    if (absl::ascii_isupper(c) && !prefix.empty()) prefix.push_back('_');
    prefix.push_back(absl::ascii_toupper(c));
  }
  return prefix + "_";
}

}  // namespace

std::string EnumWord(const google::protobuf::EnumDescriptor& type, int value) {
  const google::protobuf::EnumValueDescriptor* const named = type.FindValueByNumber(value);
  if (value == 0) return "";
  if (named == nullptr) return absl::StrCat("unknown-", value);
  return absl::StrReplaceAll(
      absl::AsciiStrToLower(absl::StripPrefix(named->name(), PrefixOf(type.name()))), {{"_", "-"}});
}

std::string JsonString(absl::string_view text) {
  std::string out;
  AppendString(text, &out);
  return out;
}

absl::Status WriteJson(const Message& message, JsonLayout layout, const JsonMembers& more,
                       std::string* out) {
  std::string json;
  json.reserve(kRoomForSecret);
  const absl::Status written = Writer(layout, &json).Write(message, more);
  if (written.ok()) out->append(json);
  base::WipeString(&json);
  return written;
}

absl::Status WriteJsonList(absl::string_view name, const std::vector<const Message*>& messages,
                           JsonLayout layout, const JsonMembers& more, std::string* out) {
  std::string json;
  RETURN_IF_ERROR(Writer(layout, &json).WriteList(name, messages, more));
  if (out->empty()) {
    out->swap(json);
  } else {
    out->append(json);
  }
  return absl::OkStatus();
}

}  // namespace tollgate::cli
