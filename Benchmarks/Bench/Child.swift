import Glibc

/// One finished run of a command.
struct ChildRun {
  /// User and system time of the process, in seconds.
  var cpu: Double
  /// Seconds from start to end.
  var wall: Double
  /// The most memory that it had, in MiB.
  var peakMiB: Double
  /// Its exit status, 128 + n for a signal.
  var status: Int32
  /// What it wrote to standard output and to standard error.
  var output: String
  var errors: String
}

/// Runs a command to its end.
///
/// - Returns: `nil` where it can't be started.
func runChild(_ command: [String]) -> ChildRun? {
  let files = (0..<2).map { _ in memoryFile() }
  defer { for file in files { close(file) } }
  var actions = posix_spawn_file_actions_t()
  posix_spawn_file_actions_init(&actions)
  defer { posix_spawn_file_actions_destroy(&actions) }
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
  posix_spawn_file_actions_adddup2(&actions, files[0], 1)
  posix_spawn_file_actions_adddup2(&actions, files[1], 2)
  var arguments: [UnsafeMutablePointer<CChar>?] = command.map { strdup($0) }
  arguments.append(nil)
  defer { for argument in arguments { free(argument) } }
  var pid: pid_t = 0
  let start = now()
  guard posix_spawnp(&pid, command[0], &actions, nil, &arguments, environ) == 0 else { return nil }
  var status: Int32 = 0
  var usage = rusage()
  while wait4(pid, &status, 0, &usage) < 0, errno == EINTR {}
  let wall = now() - start
  let code = status & 0x7f == 0 ? status >> 8 & 0xff : 128 + (status & 0x7f)
  return ChildRun(
    cpu: seconds(usage.ru_utime) + seconds(usage.ru_stime), wall: wall,
    peakMiB: Double(usage.ru_maxrss) / 1024, status: code, output: contents(files[0]),
    errors: contents(files[1]))
}

private func memoryFile() -> Int32 {
  var name = Array("/tmp/emu-bench-XXXXXX".utf8CString)
  let file = mkstemp(&name)
  unlink(name)
  return file
}

private func contents(_ file: Int32) -> String {
  let size = Int(lseek(file, 0, SEEK_END))
  guard size > 0 else { return "" }
  var bytes = [UInt8](repeating: 0, count: size)
  let got = pread(file, &bytes, size, 0)
  return String(decoding: bytes.prefix(max(got, 0)), as: UTF8.self)
}

private func seconds(_ time: timeval) -> Double {
  Double(time.tv_sec) + Double(time.tv_usec) / 1e6
}

/// CPU seconds of this thread.
func cpuSeconds() -> Double {
  var time = timespec()
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
  return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
}

func now() -> Double {
  var time = timespec()
  clock_gettime(CLOCK_MONOTONIC, &time)
  return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
}
