#if canImport(Glibc)
private import Glibc
#elseif canImport(Musl)
private import Musl
#endif

/// Where lines go: standard error at once, standard output or a file in large pieces.
final class TraceOutput {
  private let file: Int32
  private let isOwned: Bool
  private let isBuffered: Bool
  private var buffer: [UInt8] = []
  /// Why a write failed, the first time one did.
  private(set) var problem: String?
  /// Nobody reads any more.
  private(set) var isUnread = false
  private let name: String

  /// Standard error, or a file that is made anew.
  convenience init(_ path: String?) throws(HostFileError) {
    try self.init(path, name: "--trace-output")
  }

  /// Standard output, or a file that is made anew.
  ///
  /// - Parameters:
  ///   - path: the file.
  ///   - name: how messages begin.
  ///   - isOutput: without a file, standard output and not standard error.
  /// - Throws: ``HostFileError``
  init(_ path: String?, name: String, isOutput: Bool = false) throws(HostFileError) {
    self.name = name
    isBuffered = path != nil || isOutput
    guard let path else {
      file = isOutput ? STDOUT_FILENO : STDERR_FILENO
      isOwned = false
      return
    }
    file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
    isOwned = true
    guard file >= 0 else {
      throw HostFileError(
        description: "\(name): \(path): \(String(cString: strerror(errno)))",
        missing: false)
    }
  }

  deinit {
    if isOwned, file >= 0 { close(file) }
  }

  /// Writes a line.
  func write(_ line: [UInt8]) {
    buffer += line
    if !isBuffered || buffer.count >= 1 << 16 { flush() }
  }

  /// Writes text.
  func write(_ text: String) { write(Array(text.utf8)) }

  /// Whether writing on serves anybody.
  var isOpen: Bool { problem == nil && !isUnread }

  /// Writes what is left.
  func flush() {
    var done = 0
    while done < buffer.count, problem == nil, !isUnread {
      let wrote = buffer.withUnsafeBytes { bytes -> Int in
        guard let base = bytes.baseAddress else { return 0 }
        return writeBytes(file, base + done, bytes.count - done)
      }
      if wrote > 0 {
        done += wrote
      } else if errno == EAGAIN {
        var entry = pollfd(fd: file, events: Int16(POLLOUT), revents: 0)
        _ = poll(&entry, 1, -1)
      } else if errno == EPIPE {
        isUnread = true
      } else if errno != EINTR {
        problem = "\(name): \(String(cString: strerror(errno)))"
      }
    }
    buffer.removeAll(keepingCapacity: true)
  }
}

/// write(2), whose name is a method's in the class.
private func writeBytes(_ file: Int32, _ bytes: UnsafeRawPointer, _ count: Int) -> Int {
  write(file, bytes, count)
}
