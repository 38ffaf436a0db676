#if canImport(Glibc)
private import Glibc
#elseif canImport(Musl)
private import Musl
#endif

/// Where lines of the trace go: standard error at once, or a file in large pieces.
final class TraceOutput {
  private let file: Int32
  private let isOwned: Bool
  private var buffer: [UInt8] = []
  /// Why a write failed, the first time one did.
  private(set) var problem: String?

  /// Standard error, or a file that is made anew.
  init(_ path: String?) throws(HostFileError) {
    guard let path else {
      file = STDERR_FILENO
      isOwned = false
      return
    }
    file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
    isOwned = true
    guard file >= 0 else {
      throw HostFileError(
        description: "--trace-output: \(path): \(String(cString: strerror(errno)))",
        missing: false)
    }
  }

  deinit {
    if isOwned, file >= 0 { close(file) }
  }

  /// Writes a line.
  func write(_ line: [UInt8]) {
    buffer += line
    if !isOwned || buffer.count >= 1 << 16 { flush() }
  }

  /// Writes what is left.
  func flush() {
    var done = 0
    while done < buffer.count, problem == nil {
      let wrote = buffer.withUnsafeBytes { bytes -> Int in
        guard let base = bytes.baseAddress else { return 0 }
        return writeBytes(file, base + done, bytes.count - done)
      }
      if wrote > 0 {
        done += wrote
      } else if errno == EAGAIN {
        var entry = pollfd(fd: file, events: Int16(POLLOUT), revents: 0)
        _ = poll(&entry, 1, -1)
      } else if errno != EINTR {
        problem = "--trace-output: \(String(cString: strerror(errno)))"
      }
    }
    buffer.removeAll(keepingCapacity: true)
  }
}

/// write(2), whose name is a method's in the class.
private func writeBytes(_ file: Int32, _ bytes: UnsafeRawPointer, _ count: Int) -> Int {
  write(file, bytes, count)
}
