#include "storage/rocksdb/log_files.h"

#include <algorithm>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "rocksdb/file_system.h"

namespace tollgate::storage {
namespace {

class LogInSteps final : public rocksdb::FSWritableFileOwnerWrapper {
 public:
  using FSWritableFileOwnerWrapper::FSWritableFileOwnerWrapper;
  void SetPreallocationBlockSize(size_t size) override {
    FSWritableFileOwnerWrapper::SetPreallocationBlockSize(std::min(size, kLogStepBytes));
  }
};

class FileSystemWithSteps final : public rocksdb::FileSystemWrapper {
 public:
  FileSystemWithSteps() : FileSystemWrapper(rocksdb::FileSystem::Default()) {}
  const char* Name() const override { return "tollgate.LogFilesInSteps"; }

  rocksdb::IOStatus NewWritableFile(const std::string& name, const rocksdb::FileOptions& options,
                                    std::unique_ptr<rocksdb::FSWritableFile>* file,
                                    rocksdb::IODebugContext* debug) override {
    rocksdb::IOStatus status = FileSystemWrapper::NewWritableFile(name, options, file, debug);
    if (status.ok() && absl::EndsWith(name, ".log")) {
      *file = std::make_unique<LogInSteps>(std::move(*file));
    }
    return status;
  }
};

}  // namespace

rocksdb::Env* LogFilesInSteps() {
  static rocksdb::Env* const env =
      rocksdb::NewCompositeEnv(std::make_shared<FileSystemWithSteps>()).release();
  return env;
}

}  // namespace tollgate::storage
