#include "policy/yaml_tree.h"

#include <cstdint>
#include <sstream>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/status.h"
#include "policy/utf8.h"
#include "yaml-cpp/eventhandler.h"
#include "yaml-cpp/exceptions.h"
#include "yaml-cpp/mark.h"
#include "yaml-cpp/parser.h"

namespace tollgate::policy {
namespace {

// Ends the parser's run. Thrown and caught in this file only: the library's events have no other
// way to say no.
struct Fault {
  int line;
  std::string what;
};

int LineOf(const YAML::Mark& mark) { return mark.line < 0 ? 0 : mark.line + 1; }

// Builds the tree from the parser's events.
class Builder final : public YAML::EventHandler {
 public:
  YamlNode TakeRoot() { return std::move(root_); }

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (++documents_ > 1) throw Fault{LineOf(mark), "a policy is one YAML document"};
  }
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    Admit(mark, "", anchor);
    if (WantsKey()) throw Fault{LineOf(mark), "a key is missing"};
    YamlNode node;
    node.line = LineOf(mark);
    Place(std::move(node));
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    throw Fault{LineOf(mark), kNoAliases};
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    Admit(mark, tag, anchor);
    if (WantsKey()) return TakeKey(LineOf(mark), value);
    YamlNode node;
    node.kind = YamlNode::Kind::kScalar;
    node.line = LineOf(mark);
    node.text = value;
    node.plain = tag == "?";
    Place(std::move(node));
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    Open(YamlNode::Kind::kList, mark, tag, anchor);
  }
  void OnSequenceEnd() override { Close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    Open(YamlNode::Kind::kMap, mark, tag, anchor);
  }
  void OnMapEnd() override { Close(); }

  static constexpr char kNoAliases[] =
      "anchors (&) and aliases (*) are not taken. A value that begins with one of them is quoted, "
      "as in `\"*.example\"`";

 private:
  // A list or map that has begun.
  struct Frame {
    YamlNode node;
    bool has_key = false;  // of a map: the key of the value that comes next
    std::string key;
    int key_line = 0;
    absl::flat_hash_map<std::string, int> keys;  // and where each stood
  };

  static void Admit(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor) {
    if (anchor != YAML::NullAnchor) throw Fault{LineOf(mark), kNoAliases};
    if (!tag.empty() && tag != "?" && tag != "!") {
      throw Fault{LineOf(mark), absl::StrCat("tags such as `", tag.substr(0, 80),
                                             "` are not taken: quote a value to make it a text")};
    }
  }
  bool WantsKey() const {
    return !frames_.empty() && frames_.back().node.kind == YamlNode::Kind::kMap &&
           !frames_.back().has_key;
  }
  void TakeKey(int line, const std::string& key) {
    Frame& frame = frames_.back();
    const auto [before, fresh] = frame.keys.emplace(key, line);
    if (!fresh) {
      throw Fault{line, absl::StrCat("`", key.substr(0, 80), "` stands twice: it is in line ",
                                     before->second, " already")};
    }
    frame.has_key = true;
    frame.key = key;
    frame.key_line = line;
  }
  void Open(YamlNode::Kind kind, const YAML::Mark& mark, const std::string& tag,
            YAML::anchor_t anchor) {
    Admit(mark, tag, anchor);
    if (WantsKey()) {
      throw Fault{LineOf(mark),
                  "a key is a plain word. A value that begins with { is quoted, as in "
                  "`\"{workspace}\"`"};
    }
    if (frames_.size() == kDeepestYaml) {
      throw Fault{LineOf(mark), absl::StrCat("deeper than ", kDeepestYaml, " levels")};
    }
    Frame frame;
    frame.node.kind = kind;
    frame.node.line = LineOf(mark);
    frames_.push_back(std::move(frame));
  }
  void Close() {
    YamlNode node = std::move(frames_.back().node);
    frames_.pop_back();
    Place(std::move(node));
  }
  void Place(YamlNode node) {
    if (frames_.empty()) {
      root_ = std::move(node);
      return;
    }
    Frame& frame = frames_.back();
    if (frame.node.kind == YamlNode::Kind::kList) {
      frame.node.items.push_back(std::move(node));
      return;
    }
    // The value of a key on its own line begins below it; an error about it names the key's line.
    if (node.kind != YamlNode::Kind::kScalar) node.line = frame.key_line;
    frame.node.entries.push_back(YamlEntry{std::move(frame.key), frame.key_line, std::move(node)});
    frame.has_key = false;
  }

  int documents_ = 0;
  std::vector<Frame> frames_;
  YamlNode root_;
};

// What is no text at all: the parser would take other encodings, and let control characters pass.
absl::Status CheckText(absl::string_view text, absl::string_view name) {
  int line = 1;
  for (size_t i = 0; i < text.size();) {
    uint32_t point = 0;
    if (!NextCodePoint(text, &i, &point)) return PolicyFault(name, line, "this is not UTF-8");
    if (point == '\n') ++line;
    if ((point < 0x20 && point != '\n' && point != '\r' && point != '\t') ||
        (point >= 0x7F && point < 0xA0)) {
      return PolicyFault(name, line, "a control character has no place in a policy");
    }
  }
  return absl::OkStatus();
}

}  // namespace

const YamlNode* YamlNode::Find(absl::string_view key) const {
  for (const YamlEntry& entry : entries) {
    if (entry.key == key) return &entry.value;
  }
  return nullptr;
}

absl::Status PolicyFault(absl::string_view name, int line, absl::string_view what) {
  return base::Refuse(
      absl::StatusCode::kInvalidArgument, "POLICY_INVALID",
      line > 0 ? absl::StrCat(name, ":", line, ": ", what) : absl::StrCat(name, ": ", what));
}

absl::StatusOr<YamlNode> ParseYaml(absl::string_view text, absl::string_view name) {
  if (text.size() > kLongestYaml) {
    return PolicyFault(name, 0, absl::StrCat("a policy has at most ", kLongestYaml, " bytes"));
  }
  RETURN_IF_ERROR(CheckText(text, name));
  Builder builder;
  try {
    std::istringstream stream{std::string(text)};
    YAML::Parser parser(stream);
    while (parser.HandleNextDocument(builder)) {
    }
  } catch (const Fault& fault) {
    return PolicyFault(name, fault.line, fault.what);
  } catch (const YAML::Exception& error) {
    const bool alias =
        absl::StrContains(error.msg, "anchor") || absl::StrContains(error.msg, "alias");
    return PolicyFault(
        name, LineOf(error.mark),
        alias ? std::string(Builder::kNoAliases) : absl::StrCat("this is no YAML: ", error.msg));
  }
  return builder.TakeRoot();
}

}  // namespace tollgate::policy
