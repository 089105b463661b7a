// A library to be preloaded (LD_PRELOAD) under the program in tests: it makes system calls fail as a machine
// may, so that the program carries no code for it. Told by environment variables:
//   GS_FAULT_CALL    write, fsync, rename, open, read, malloc, new, thread: which calls are meant; of new,
//   those
//                    of the program's own code, as libraries need not survive theirs (oneDNN does not)
//   GS_FAULT_PATH    of files: only those whose path holds this text
//   GS_FAULT_READERS set: only calls of other threads than the first one
//   GS_FAULT_NTH     the how-manieth of them fails, from 1; 0 or not set: none
//   GS_FAULT_LASTING set: and all after it (a full disk)
//   GS_FAULT_ERRNO   with this number; of a read, 0: it ends early, as if the file did
//   GS_FAULT_MARK    a file that is made when one fails
//   GS_FAULT_DELAY   microseconds that each of them takes longer
//   GS_FAULT_FORBID  set: sockets and new processes end the program with exit code 99
// Of write, fsync and rename only calls for regular files (and folders) are counted.
#include <dlfcn.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <cstdlib>
#include <cstring>
#include <new>

extern "C" {
void* __libc_malloc(size_t);
void* __libc_calloc(size_t, size_t);
void* __libc_realloc(void*, size_t);
void* __libc_memalign(size_t, size_t);
}

namespace {

enum Call { kNone, kWrite, kFsync, kRename, kOpen, kRead, kMalloc, kNew, kThread };

struct Settings {
    Call call = kNone;
    const char *path = nullptr, *mark = nullptr;
    bool readers = false, lasting = false, forbid = false;
    long nth = 0, error = EIO, delay = 0;
};

long number(const char* name, long otherwise) {
    const char* text = ::getenv(name);
    return text == nullptr ? otherwise : ::atol(text);
}

// getenv allocates nothing, so this may run inside the first malloc.
Settings read_settings() {
    static constexpr const char* kNames[] = {"",     "write",  "fsync", "rename", "open",
                                             "read", "malloc", "new",   "thread"};
    Settings settings;
    if (const char* call = ::getenv("GS_FAULT_CALL"))
        for (int i = 1; i <= kThread; ++i)
            if (::strcmp(call, kNames[i]) == 0) settings.call = static_cast<Call>(i);
    settings.path = ::getenv("GS_FAULT_PATH");
    settings.mark = ::getenv("GS_FAULT_MARK");
    settings.readers = ::getenv("GS_FAULT_READERS") != nullptr;
    settings.lasting = ::getenv("GS_FAULT_LASTING") != nullptr;
    settings.forbid = ::getenv("GS_FAULT_FORBID") != nullptr;
    settings.nth = number("GS_FAULT_NTH", 0);
    settings.error = number("GS_FAULT_ERRNO", EIO);
    settings.delay = number("GS_FAULT_DELAY", 0);
    return settings;
}

const Settings& settings() {
    static const Settings read = read_settings();
    return read;
}

std::atomic<long> calls{0};

// Before main() it is the constructors' turn, of CUDA's libraries too, which end with signal 11 where an
// allocation fails: nothing counts there.
bool in_main = false;
int (*real_main)(int, char**, char**) = nullptr;
const void* program = nullptr;  // where it lies

const void* object_of(const void* code) {
    Dl_info info{};
    return ::dladdr(code, &info) != 0 ? info.dli_fbase : nullptr;
}

int counted_main(int argc, char** argv, char** environment) {
    program = object_of(reinterpret_cast<const void*>(real_main));
    in_main = true;
    return real_main(argc, argv, environment);
}

template <class Function>
Function* next(const char* name) {
    return reinterpret_cast<Function*>(::dlsym(RTLD_NEXT, name));
}

// Whether this call of `call` is to fail; errno is set then.
bool fails(Call call) {
    const Settings& s = settings();
    if (s.call != call || !in_main) return false;
    if (s.readers && ::syscall(SYS_gettid) == ::getpid()) return false;
    if (s.delay > 0) ::usleep(static_cast<useconds_t>(s.delay));
    if (s.nth == 0) return false;
    const long count = ++calls;
    if (count != s.nth && !(s.lasting && count > s.nth)) return false;
    if (s.mark != nullptr)
        ::syscall(SYS_close, ::syscall(SYS_openat, AT_FDCWD, s.mark, O_CREAT | O_WRONLY, 0600));
    errno = static_cast<int>(s.error);
    return true;
}

bool is_meant(const char* path) {
    return settings().path == nullptr || ::strstr(path, settings().path) != nullptr;
}

bool is_meant(int fd) {
    struct stat info {};
    if (::fstat(fd, &info) != 0 || !(S_ISREG(info.st_mode) || S_ISDIR(info.st_mode))) return false;
    char link[64] = "/proc/self/fd/", path[4096] = "";
    char digits[16];
    int n = 0;
    do digits[n++] = static_cast<char>('0' + fd % 10);
    while ((fd /= 10) > 0);
    for (size_t end = ::strlen(link); n > 0;) link[end++] = digits[--n];
    return ::readlink(link, path, sizeof path - 1) >= 0 && is_meant(path);
}

void* allocate(size_t alignment, size_t size, const void* caller) {
    if (settings().call == kNew && object_of(caller) == program && fails(kNew)) throw std::bad_alloc();
    void* place = alignment == 0 ? ::malloc(size) : ::memalign(alignment, size);
    if (place == nullptr) throw std::bad_alloc();
    return place;
}

void forbid() {
    if (!settings().forbid) return;
    constexpr char kWhat[] = "forbidden: a socket or a process\n";
    [[maybe_unused]] const auto put = ::syscall(SYS_write, 2, kWhat, sizeof kWhat - 1);
    ::_exit(99);
}

}  // namespace

extern "C" {

ssize_t write(int fd, const void* data, size_t size) {
    static const auto real = next<ssize_t(int, const void*, size_t)>("write");
    if (settings().call == kWrite && is_meant(fd) && fails(kWrite)) return -1;
    return real(fd, data, size);
}

int fsync(int fd) {
    static const auto real = next<int(int)>("fsync");
    if (settings().call == kFsync && is_meant(fd) && fails(kFsync)) return -1;
    return real(fd);
}

int rename(const char* from, const char* to) {
    static const auto real = next<int(const char*, const char*)>("rename");
    if (is_meant(to) && fails(kRename)) return -1;
    return real(from, to);
}

static int open_file(const char* path, int flags, mode_t mode) {
    static const auto real = next<int(const char*, int, ...)>("open64");
    if (settings().call == kOpen && is_meant(path) && fails(kOpen)) return -1;
    return real(path, flags, mode);
}

int open(const char* path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    const mode_t mode = (flags & (O_CREAT | __O_TMPFILE)) != 0 ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    return open_file(path, flags, mode);
}

int open64(const char* path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    const mode_t mode = (flags & (O_CREAT | __O_TMPFILE)) != 0 ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    return open_file(path, flags, mode);
}

int mkostemp(char* pattern, int flags) {
    static const auto real = next<int(char*, int)>("mkostemp");
    if (settings().call == kOpen && is_meant(pattern) && fails(kOpen)) return -1;
    return real(pattern, flags);
}

ssize_t read(int fd, void* data, size_t size) {
    static const auto real = next<ssize_t(int, void*, size_t)>("read");
    if (settings().call == kRead && is_meant(fd) && fails(kRead)) return errno == 0 ? 0 : -1;
    return real(fd, data, size);
}

int __libc_start_main(int (*main)(int, char**, char**), int argc, char** argv, void (*init)(), void (*fini)(),
                      void (*rtld_fini)(), void* stack_end) {
    real_main = main;
    return next<decltype(__libc_start_main)>("__libc_start_main")(counted_main, argc, argv, init, fini,
                                                                  rtld_fini, stack_end);
}

void* malloc(size_t size) {
    return fails(kMalloc) ? nullptr : __libc_malloc(size);
}

void* calloc(size_t count, size_t size) {
    return fails(kMalloc) ? nullptr : __libc_calloc(count, size);
}

void* realloc(void* old, size_t size) {
    return fails(kMalloc) ? nullptr : __libc_realloc(old, size);
}

void* memalign(size_t alignment, size_t size) {
    return fails(kMalloc) ? nullptr : __libc_memalign(alignment, size);
}

void* aligned_alloc(size_t alignment, size_t size) {
    return memalign(alignment, size);
}

int posix_memalign(void** to, size_t alignment, size_t size) {
    void* place = memalign(alignment, size);
    if (place == nullptr) return ENOMEM;
    *to = place;
    return 0;
}

int pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*run)(void*), void* argument) {
    static const auto real =
        next<int(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*)>("pthread_create");
    if (fails(kThread)) return EAGAIN;
    return real(thread, attributes, run, argument);
}

int socket(int domain, int type, int protocol) {
    static const auto real = next<int(int, int, int)>("socket");
    forbid();
    return real(domain, type, protocol);
}

int execve(const char* path, char* const words[], char* const environment[]) {
    static const auto real = next<int(const char*, char* const[], char* const[])>("execve");
    forbid();
    return real(path, words, environment);
}

pid_t fork(void) {
    static const auto real = next<pid_t()>("fork");
    forbid();
    return real();
}

}  // extern "C"

void* operator new(size_t size) {
    return allocate(0, size, __builtin_return_address(0));
}

void* operator new[](size_t size) {
    return allocate(0, size, __builtin_return_address(0));
}

void* operator new(size_t size, std::align_val_t alignment) {
    return allocate(static_cast<size_t>(alignment), size, __builtin_return_address(0));
}

void* operator new[](size_t size, std::align_val_t alignment) {
    return allocate(static_cast<size_t>(alignment), size, __builtin_return_address(0));
}
