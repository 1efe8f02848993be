#include "cli/context_store.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <system_error>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status.h"

namespace tollgate::cli {
namespace {

namespace fs = std::filesystem;

constexpr char kEnding[] = ".toml";
constexpr size_t kMaxName = 64;

absl::Status Unwritable(const std::string& path, const std::string& why) {
  return base::Refuse(absl::StatusCode::kUnavailable, "CONTEXT_UNWRITABLE",
                      absl::StrCat("cannot write ", path, ": ", why));
}

}  // namespace

ContextStore ContextStore::OfThisPerson() {
  const char* home = std::getenv("XDG_CONFIG_HOME");
  if (home != nullptr && *home != 0) return ContextStore(absl::StrCat(home, "/tollgate"));
  home = std::getenv("HOME");
  return ContextStore(home == nullptr || *home == 0 ? "" : absl::StrCat(home, "/.config/tollgate"));
}

std::string ContextStore::PlainFile() const {
  return folder_.empty() ? "" : folder_ + "/config.toml";
}

std::string ContextStore::FileOf(absl::string_view name) const {
  return absl::StrCat(folder_, "/contexts/", name, kEnding);
}

bool ContextStore::Exists(absl::string_view name) const {
  std::error_code error;
  return !folder_.empty() && CheckName(name).ok() && fs::is_regular_file(FileOf(name), error);
}

std::string ContextStore::InUse() const {
  if (folder_.empty()) return "";
  std::ifstream file(folder_ + "/context");
  const std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  return std::string(absl::StripAsciiWhitespace(text));
}

std::vector<std::string> ContextStore::Names() const {
  std::vector<std::string> names;
  if (folder_.empty()) return names;
  std::error_code error;
  fs::directory_iterator at(folder_ + "/contexts", error);
  for (; !error && at != fs::directory_iterator(); at.increment(error)) {
    const std::string name = at->path().stem().string();
    if (at->path().extension() == kEnding && Exists(name)) names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

absl::Status ContextStore::CheckName(absl::string_view name) {
  bool good = !name.empty() && name.size() <= kMaxName;
  for (const char c : name) {
    good = good &&
           (absl::ascii_islower(c) || absl::ascii_isdigit(c) || c == '.' || c == '_' || c == '-');
  }
  if (good && (absl::ascii_islower(name[0]) || absl::ascii_isdigit(name[0]))) {
    return absl::OkStatus();
  }
  return base::RefuseField("CONTEXT_NAME_MALFORMED", "context",
                           "is no context's name: 1 to 64 of a-z 0-9 . _ - that begin with a "
                           "letter or a digit");
}

absl::Status ContextStore::CheckExists(const std::string& name) const {
  RETURN_IF_ERROR(CheckName(name));
  if (Exists(name)) return absl::OkStatus();
  const std::vector<std::string> names = Names();
  return base::Refuse(
      absl::StatusCode::kNotFound, "NO_SUCH_CONTEXT",
      absl::StrCat("there is no context '", name, "'",
                   names.empty() ? ", nor any other"
                                 : absl::StrCat("; there are ", absl::StrJoin(names, ", ")),
                   ". To make it:  tollgate context create ", name, " --service HOST:PORT"));
}

absl::Status ContextStore::WriteFile(const std::string& path, const std::string& text) const {
  if (folder_.empty()) return Unwritable(path, "neither HOME nor XDG_CONFIG_HOME is set");
  std::error_code error;
  fs::create_directories(fs::path(path).parent_path(), error);
  if (error) return Unwritable(path, error.message());
  const std::string fresh = absl::StrCat(path, ".", getpid(), ".new");
  std::ofstream file(fresh, std::ios::trunc);
  file << text;
  file.close();
  if (!file) {
    fs::remove(fresh, error);
    return Unwritable(path, "the disk refuses it");
  }
  fs::rename(fresh, path, error);
  return error ? Unwritable(path, error.message()) : absl::OkStatus();
}

absl::Status ContextStore::Use(const std::string& name) const {
  if (folder_.empty()) {
    return name.empty() ? absl::OkStatus() : Unwritable("context", "HOME is not set");
  }
  if (name.empty()) {
    std::error_code error;
    fs::remove(folder_ + "/context", error);
    return error ? Unwritable(folder_ + "/context", error.message()) : absl::OkStatus();
  }
  RETURN_IF_ERROR(CheckExists(name));
  return WriteFile(folder_ + "/context", name + "\n");
}

absl::Status ContextStore::Write(const std::string& name,
                                 const std::vector<std::pair<std::string, std::string>>& settings,
                                 bool replace) const {
  RETURN_IF_ERROR(CheckName(name));
  for (const auto& [key, value] : settings) {
    // The reader of settings takes a # for a comment's beginning, also between quotes, and knows
    // no escapes.
    if (std::any_of(value.begin(), value.end(), [](char c) {
          return absl::ascii_iscntrl(static_cast<unsigned char>(c)) || c == '"' || c == '\\' ||
                 c == '#';
        })) {
      return base::RefuseField("CONTEXT_VALUE_UNWRITABLE", key,
                               "holds a character that a settings file cannot: one of \" \\ # or a "
                               "control character");
    }
  }
  if (!replace && Exists(name)) {
    return base::Refuse(absl::StatusCode::kAlreadyExists, "CONTEXT_EXISTS",
                        absl::StrCat("there is a context '", name, "' already, in ", FileOf(name),
                                     ": edit that, or say --replace"));
  }
  std::string text;
  for (const auto& [key, value] : settings) {
    absl::StrAppend(&text, key, " = \"", value, "\"\n");
  }
  return WriteFile(FileOf(name), text);
}

absl::Status ContextStore::Remove(const std::string& name) const {
  RETURN_IF_ERROR(CheckExists(name));
  if (InUse() == name) RETURN_IF_ERROR(Use(""));
  std::error_code error;
  fs::remove(FileOf(name), error);
  return error ? Unwritable(FileOf(name), error.message()) : absl::OkStatus();
}

}  // namespace tollgate::cli
