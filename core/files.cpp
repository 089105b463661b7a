#include "core/files.h"

#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>
#include <system_error>

#include "core/ascii.h"

namespace gs {
namespace {

std::string reason() {
    return std::generic_category().message(errno);
}

void write_all(int fd, std::span<const std::byte> bytes, const std::filesystem::path& path) {
    while (!bytes.empty()) {
        const ssize_t put = ::write(fd, bytes.data(), bytes.size());
        if (put < 0 && errno == EINTR) continue;
        if (put < 0) throw Error(ErrorKind::Internal, path.string() + ": cannot write: " + reason());
        bytes = bytes.subspan(static_cast<size_t>(put));
    }
}

class Descriptor {
  public:
    explicit Descriptor(int fd) : fd_(fd) {}
    ~Descriptor() {
        if (fd_ >= 0) ::close(fd_);
    }
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    int get() const { return fd_; }

  private:
    int fd_;
};

// Opens a regular file. O_NONBLOCK keeps a pipe or a device from hanging us before fstat refuses it.
size_t open_regular(const Descriptor& fd, const std::filesystem::path& path, ErrorKind kind) {
    struct stat info {};
    if (fd.get() < 0 || ::fstat(fd.get(), &info) != 0)
        throw Error(kind, path.string() + ": cannot open: " + reason());
    if (S_ISDIR(info.st_mode)) throw Error(kind, path.string() + ": is a folder, a file is needed");
    if (!S_ISREG(info.st_mode)) throw Error(kind, path.string() + ": not a regular file");
    return static_cast<size_t>(info.st_size);
}

int open_to_read(const std::filesystem::path& path) {
    return ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
}

// Without links, as far as it is there.
std::filesystem::path real_path(const std::filesystem::path& path) {
    std::error_code error;
    const auto real = std::filesystem::weakly_canonical(std::filesystem::absolute(path, error), error);
    return (error ? path : without_last_slash(real)).lexically_normal();
}

constexpr std::string_view kTemporary = ".gradscore-tmp";  // and six letters of mkostemp

// So that a rename outlasts a power cut. A folder that cannot be read, or a file system that knows no such
// thing, is no fault of the file that lies there whole.
bool sync_folder(const std::filesystem::path& folder) {
    const Descriptor fd(::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    return fd.get() < 0 || ::fsync(fd.get()) == 0 || errno == EINVAL || errno == ENOTSUP;
}

}  // namespace

MappedFile::MappedFile(const std::filesystem::path& path, ErrorKind kind) {
    const Descriptor fd(open_to_read(path));
    size_ = open_regular(fd, path, kind);
    if (size_ == 0) return;
    void* map = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, fd.get(), 0);
    if (map == MAP_FAILED) throw Error(kind, path.string() + ": cannot map into memory: " + reason());
    data_ = static_cast<const std::byte*>(map);
}

MappedFile::~MappedFile() {
    if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
}

std::vector<std::byte> read_file(const std::filesystem::path& path, ErrorKind kind, size_t limit) {
    const Descriptor fd(open_to_read(path));
    const size_t size = open_regular(fd, path, kind);
    if (size > limit)
        throw Error(kind, path.string() + ": " + std::to_string(size) + " bytes, more than the limit of " +
                              std::to_string(limit));
    std::vector<std::byte> bytes(size);
    size_t done = 0;
    while (done < size) {
        const ssize_t got = ::read(fd.get(), bytes.data() + done, size - done);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) throw Error(kind, path.string() + ": cannot read: " + reason());
        if (got == 0) break;  // truncated since fstat: the reader of the format will say what is missing
        done += static_cast<size_t>(got);
    }
    bytes.resize(done);
    return bytes;
}

std::filesystem::path without_last_slash(const std::filesystem::path& path) {
    return path.has_filename() ? path : path.parent_path();
}

std::string_view without_bom(std::string_view text) {
    constexpr std::string_view kMark = "\xef\xbb\xbf";
    if (text.starts_with(kMark)) text.remove_prefix(kMark.size());
    return text;
}

AtomicFile::AtomicFile(std::filesystem::path path) : path_(std::move(path)) {
    std::string name = path_.string() + std::string(kTemporary) + "XXXXXX";
    fd_ = ::mkostemp(name.data(), O_CLOEXEC);
    if (fd_ < 0) throw Error(ErrorKind::Internal, path_.string() + ": cannot create: " + reason());
    temporary_ = name;
    // mkostemp makes 0600; a result should be as readable as any file the user creates.
    const mode_t mask = ::umask(0);
    ::umask(mask);
    ::fchmod(fd_, 0666 & ~mask);
}

AtomicFile::~AtomicFile() {
    if (fd_ < 0) return;
    ::close(fd_);
    ::unlink(temporary_.c_str());
}

void AtomicFile::write(std::span<const std::byte> bytes) {
    constexpr size_t kPending = 1 << 20;
    pending_.insert(pending_.end(), bytes.begin(), bytes.end());
    if (pending_.size() >= kPending) flush();
}

void AtomicFile::write(std::string_view text) {
    write(std::as_bytes(std::span(text)));
}

void AtomicFile::flush() {
    write_all(fd_, pending_, path_);
    pending_.clear();
}

void AtomicFile::commit() {
    flush();
    // Some file systems report a full disk only here, so the rename waits for both.
    const bool synced = ::fsync(fd_) == 0;
    const std::string sync_reason = synced ? "" : reason();
    const bool closed = ::close(std::exchange(fd_, -1)) == 0;
    if (!synced || !closed || ::rename(temporary_.c_str(), path_.c_str()) != 0) {
        const std::string why = synced ? reason() : sync_reason;
        ::unlink(temporary_.c_str());
        throw Error(ErrorKind::Internal, path_.string() + ": cannot write: " + why);
    }
    if (!sync_folder(path_.parent_path()))
        throw Error(ErrorKind::Internal, path_.string() + ": cannot write: " + reason());
}

bool is_within(const std::filesystem::path& path, const std::filesystem::path& folder) {
    const auto inner = real_path(path), outer = real_path(folder);
    return std::mismatch(outer.begin(), outer.end(), inner.begin(), inner.end()).first == outer.end();
}

bool is_temporary(const std::filesystem::path& path) {
    const std::string name = path.filename().string();
    constexpr size_t kLetters = 6;
    const size_t ending = kTemporary.size() + kLetters;
    return name.size() > ending && name.compare(name.size() - ending, kTemporary.size(), kTemporary) == 0 &&
           std::all_of(name.end() - kLetters, name.end(), is_ascii_alphanumeric);
}

void remove_temporaries(const std::filesystem::path& folder) {
    std::error_code ignored;
    for (const auto& entry : std::filesystem::directory_iterator(folder, ignored))
        if (is_temporary(entry.path())) std::filesystem::remove(entry.path(), ignored);
}

AppendFile::AppendFile(std::filesystem::path path, int64_t keep) : path_(std::move(path)), size_(keep) {
    fd_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (fd_ < 0) throw Error(ErrorKind::Internal, path_.string() + ": cannot open: " + reason());
    struct stat info {};
    std::string fault = ::fstat(fd_, &info) != 0 ? reason() : "";
    const bool is_short = fault.empty() && info.st_size < keep;
    if (fault.empty() && !is_short && ::ftruncate(fd_, keep) != 0) fault = reason();
    if (fault.empty() && !is_short) return;
    ::close(fd_);
    if (is_short)
        throw Error(ErrorKind::Data, path_.string() + ": has " + std::to_string(info.st_size) +
                                         " bytes where " + std::to_string(keep) + " were written");
    throw Error(ErrorKind::Internal, path_.string() + ": cannot cut to size: " + fault);
}

AppendFile::~AppendFile() {
    ::close(fd_);
}

void AppendFile::write(std::string_view text) {
    write_all(fd_, std::as_bytes(std::span(text)), path_);
    size_ += static_cast<int64_t>(text.size());
}

void AppendFile::sync() {
    if (::fsync(fd_) != 0) throw Error(ErrorKind::Internal, path_.string() + ": cannot write: " + reason());
}

bool is_file_name(std::string_view name) {
    constexpr std::string_view kForbidden("/\\\n\r\t\0", 6);
    return !name.empty() && name != "." && name != ".." && name.size() <= 100 &&
           name.find_first_of(kForbidden) == std::string_view::npos;
}

void write_file_atomically(const std::filesystem::path& path, std::string_view text) {
    AtomicFile file(path);
    file.write(text);
    file.commit();
}

void make_folder(const std::filesystem::path& folder) {
    std::error_code error;
    std::filesystem::create_directories(folder, error);
    if (error) throw Error(ErrorKind::Internal, folder.string() + ": cannot create: " + error.message());
}

void Sha256::Free::operator()(void* context) const {
    EVP_MD_CTX_free(static_cast<EVP_MD_CTX*>(context));
}

Sha256::Sha256() : context_(EVP_MD_CTX_new()) {
    auto* context = static_cast<EVP_MD_CTX*>(context_.get());
    // Nothing but memory can be missing here. Where the library's own context could not be made, OpenSSL 3.0
    // would go on with one whose locks are null.
    if (context == nullptr || OSSL_LIB_CTX_get0_global_default() == nullptr ||
        EVP_DigestInit_ex(context, EVP_sha256(), nullptr) != 1)
        throw std::bad_alloc();
}

void Sha256::update(std::span<const std::byte> bytes) {
    GS_REQUIRE(EVP_DigestUpdate(static_cast<EVP_MD_CTX*>(context_.get()), bytes.data(), bytes.size()) == 1);
}

void Sha256::update(std::string_view text) {
    update(std::as_bytes(std::span(text)));
}

std::array<std::byte, 32> Sha256::digest() {
    std::array<std::byte, 32> digest{};
    unsigned length = 0;
    GS_REQUIRE(EVP_DigestFinal_ex(static_cast<EVP_MD_CTX*>(context_.get()),
                                  reinterpret_cast<unsigned char*>(digest.data()), &length) == 1 &&
               length == digest.size());
    return digest;
}

std::string Sha256::hex() {
    return gs::hex(digest());
}

std::string hex(std::span<const std::byte> bytes) {
    constexpr char kDigits[] = "0123456789abcdef";
    std::string text;
    for (const std::byte byte : bytes) {
        text += kDigits[std::to_integer<unsigned>(byte) >> 4];
        text += kDigits[std::to_integer<unsigned>(byte) & 15];
    }
    return text;
}

std::string sha256_hex(std::span<const std::byte> bytes) {
    Sha256 hash;
    hash.update(bytes);
    return hash.hex();
}

}  // namespace gs
