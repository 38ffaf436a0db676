import Engine
import GuestKernel

#if canImport(Glibc)
private import Glibc
#elseif canImport(Musl)
private import Musl
#endif

/// The host as a guest kernel sees it: this process's standard streams and, if one was given, a
/// directory seen read-only as the root.
public final class Host: HostServices {
  private let root: String?
  private var random: SeededBytes
  /// What all random bytes follow from.
  public let seed: UInt64
  /// Nanoseconds since 1970 at the start of the run.
  public let startOfRun: UInt64
  private var inputEnded = false

  /// - Parameters:
  ///   - root: a directory of the host; `nil` for none.
  ///   - seed: what all random bytes follow from.
  ///   - startOfRun: nanoseconds since 1970, or `nil` for the host's clock.
  public init(root: String? = nil, seed: UInt64 = 0, startOfRun: UInt64? = nil) {
    self.root = root
    self.seed = seed
    random = SeededBytes(seed: seed)
    if let startOfRun {
      self.startOfRun = startOfRun
    } else {
      var time = timespec()
      clock_gettime(CLOCK_REALTIME, &time)
      self.startOfRun = UInt64(time.tv_sec) &* 1_000_000_000 &+ UInt64(time.tv_nsec)
    }
    // A reader that went away is an error of the guest's write and no reason to die.
    signal(SIGPIPE, SIG_IGN)
  }

  // MARK: Console

  /// What can be read from standard input without waiting.
  public func consoleRead(_ count: Int) -> ConsoleInput {
    guard !inputEnded else { return .end }
    guard count > 0, waitForInput(milliseconds: 0) else { return .notYet }
    var buffer = [UInt8](repeating: 0, count: min(count, 1 << 16))
    let got = read(STDIN_FILENO, &buffer, buffer.count)
    if got > 0 { return .bytes(Array(buffer[0..<got])) }
    if got < 0, errno == EINTR || errno == EAGAIN { return .notYet }
    inputEnded = true
    return .end
  }

  /// Waits until standard input can be read (or has ended).
  ///
  /// - Parameter milliseconds: how long; negative for ever.
  /// - Returns: whether a read will not wait. A signal ends the wait early.
  public func waitForInput(milliseconds: Int32) -> Bool {
    if inputEnded { return true }
    var entry = pollfd(fd: STDIN_FILENO, events: Int16(POLLIN), revents: 0)
    return poll(&entry, 1, milliseconds) > 0
  }

  /// Writes to standard output or error.
  public func consoleWrite(_ bytes: [UInt8], stream: Int) -> GuestKernel.Errno? {
    let file = stream == 2 ? STDERR_FILENO : STDOUT_FILENO
    var done = 0
    while done < bytes.count {
      let wrote = bytes.withUnsafeBytes { buffer -> Int in
        guard let base = buffer.baseAddress else { return 0 }
        return write(file, base + done, bytes.count - done)
      }
      if wrote > 0 {
        done += wrote
      } else if errno == EAGAIN {
        var entry = pollfd(fd: file, events: Int16(POLLOUT), revents: 0)
        _ = poll(&entry, 1, -1)
      } else if errno != EINTR {
        return errno == EPIPE ? .EPIPE : .EIO
      }
    }
    return nil
  }

  /// Random bytes that follow from the seed.
  public func randomBytes(_ count: Int) -> [UInt8] { random.next(count) }

  /// How far the random bytes have come.
  public var archivedState: [UInt8] {
    get { random.archivedState }
    set { random.archivedState = newValue }
  }

  // MARK: Files

  /// What lies at a path below the root.
  public func hostStat(_ path: String) -> HostNode? {
    guard let full = full(path) else { return nil }
    var info = stat()
    guard lstat(full, &info) == 0 else { return nil }
    let kind: HostNode.Kind
    switch info.st_mode & S_IFMT {
    case S_IFREG: kind = .file
    case S_IFDIR: kind = .directory
    case S_IFLNK:
      var buffer = [UInt8](repeating: 0, count: 4096)
      let count = buffer.withUnsafeMutableBytes { raw -> Int in
        guard let base = raw.baseAddress else { return -1 }
        return readlink(full, base.assumingMemoryBound(to: CChar.self), raw.count)
      }
      guard count >= 0 else { return nil }
      kind = .symlink(String(decoding: buffer[0..<count], as: UTF8.self))
    default: kind = .other
    }
    return HostNode(
      kind: kind, permissions: UInt32(info.st_mode) & 0o7777,
      size: UInt64(max(info.st_size, 0)),
      modified: UInt64(max(info.st_mtim.tv_sec, 0)) &* 1_000_000_000
        &+ UInt64(max(info.st_mtim.tv_nsec, 0)), inode: UInt64(info.st_ino))
  }

  /// Names in a directory below the root.
  public func hostList(_ path: String) -> [String]? {
    guard let full = full(path), let directory = opendir(full) else { return nil }
    defer { closedir(directory) }
    var names: [String] = []
    while let entry = readdir(directory) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      if name != ".", name != ".." { names.append(name) }
    }
    return names.sorted()
  }

  /// Bytes of a file below the root.
  public func hostRead(_ path: String, offset: UInt64, count: Int) -> [UInt8]? {
    guard let full = full(path) else { return nil }
    return Self.readFile(full, offset: offset, count: count)
  }

  private func full(_ path: String) -> String? {
    guard let root, path.hasPrefix("/"), !path.utf8.contains(0) else { return nil }
    return root + path
  }

  /// Up to `count` bytes of a host file from `offset` on; `nil` on an error.
  static func readFile(_ path: String, offset: UInt64, count: Int) -> [UInt8]? {
    guard count >= 0, offset <= UInt64(Int.max) else { return nil }
    let file = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)
    guard file >= 0 else { return nil }
    defer { close(file) }
    return readOpen(file, offset: offset, count: count)
  }

  private static func readOpen(_ file: Int32, offset: UInt64, count: Int) -> [UInt8]? {
    var failed = false
    let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, used in
      while used < count, let base = buffer.baseAddress {
        let got = pread(file, base + used, count - used, off_t(offset) + off_t(used))
        if got < 0, errno == EINTR { continue }
        if got < 0 { failed = true }
        if got <= 0 { break }
        used += got
      }
    }
    return failed ? nil : bytes
  }

  /// Whether one of the standard streams is a terminal.
  public func isTerminal(_ stream: Int32) -> Bool { isatty(stream) == 1 }
}

/// A file of the host that could not be read, in one line.
public struct HostFileError: Error, CustomStringConvertible {
  /// The path and the reason.
  public let description: String
  /// Whether there is no such file.
  public let missing: Bool

  /// An error.
  public init(description: String, missing: Bool) {
    self.description = description
    self.missing = missing
  }
}

extension Host {
  /// The first bytes of a regular file, at most `count`; `nil` where there is none or it can't be
  /// read.
  static func start(of path: String, _ count: Int) -> [UInt8]? {
    let file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard file >= 0 else { return nil }
    defer { close(file) }
    var info = stat()
    guard fstat(file, &info) == 0, info.st_mode & S_IFMT == S_IFREG else { return nil }
    return readOpen(file, offset: 0, count: min(Int(info.st_size), count))
  }

  /// All bytes of a host file of at most `limit` bytes.
  public static func contents(
    of path: String, limit: Int = 1 << 31
  ) throws(HostFileError) -> [UInt8] {
    let file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard file >= 0 else {
      let code = errno
      throw HostFileError(
        description: "\(path): \(String(cString: strerror(code)))", missing: code == ENOENT)
    }
    defer { close(file) }
    var info = stat()
    guard fstat(file, &info) == 0 else {
      throw HostFileError(description: "\(path): cannot be examined", missing: false)
    }
    guard info.st_mode & S_IFMT == S_IFREG else {
      throw HostFileError(description: "\(path): not a regular file", missing: false)
    }
    guard info.st_size <= limit else {
      throw HostFileError(
        description: "\(path): \(info.st_size) bytes is more than the limit of \(limit)",
        missing: false)
    }
    guard let bytes = readOpen(file, offset: 0, count: Int(info.st_size)) else {
      throw HostFileError(description: "\(path): cannot be read", missing: false)
    }
    return bytes
  }
}

extension Host {
  /// Whether a path leads to a directory whose names can be read.
  static func isDirectory(_ path: String) -> Bool {
    guard let directory = opendir(path) else { return false }
    closedir(directory)
    return true
  }

  /// Makes a host directory, unless it is there.
  ///
  /// - Returns: a line that says why it could not be made, or `nil`.
  public static func makeDirectory(_ path: String) -> String? {
    if isDirectory(path) || mkdir(path, 0o755) == 0 { return nil }
    return "\(path): \(String(cString: strerror(errno)))"
  }

  /// What another process of this program prints.
  ///
  /// - Parameter arguments: its arguments.
  /// - Returns: its standard output.
  /// - Throws: why it could not be run, or that it failed.
  public static func output(of arguments: [String]) throws(HostFileError) -> String {
    // In the shell, /proc/self would be the shell.
    let command = (["/proc/\(getpid())/exe"] + arguments).map {
      "'" + $0.replacing("'", with: "'\\''") + "'"
    }.joined(separator: " ")
    guard let pipe = popen(command, "r") else {
      throw HostFileError(description: String(cString: strerror(errno)), missing: false)
    }
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      let got = fread(&buffer, 1, buffer.count, pipe)
      if got == 0 { break }
      bytes += buffer.prefix(got)
    }
    let status = pclose(pipe)
    guard status == 0 else {
      throw HostFileError(description: "it ended with wait status \(status)", missing: false)
    }
    return String(decoding: bytes, as: UTF8.self)
  }

  /// Removes a host file; it is no matter if it can't be.
  public static func removeFile(_ path: String) { unlink(path) }

  /// Writes a host file anew.
  ///
  /// - Returns: a line that says why it could not be written, or `nil`.
  public static func replaceFile(_ path: String, with bytes: [UInt8]) -> String? {
    let file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
    guard file >= 0 else { return "\(path): \(String(cString: strerror(errno)))" }
    defer { close(file) }
    var done = 0
    while done < bytes.count {
      let wrote = bytes.withUnsafeBytes { buffer -> Int in
        guard let base = buffer.baseAddress else { return 0 }
        return write(file, base + done, bytes.count - done)
      }
      if wrote > 0 {
        done += wrote
      } else if errno != EINTR {
        return "\(path): \(String(cString: strerror(errno)))"
      }
    }
    return nil
  }
}

/// Random bytes that follow from a seed.
public struct SeededBytes: Sendable {
  private var generator: SplitMix64

  /// Bytes that follow from `seed`.
  public init(seed: UInt64) { generator = SplitMix64(state: seed) }

  /// The next bytes.
  public mutating func next(_ count: Int) -> [UInt8] {
    (0..<max(count, 0)).map { _ in UInt8(truncatingIfNeeded: generator.next() >> 32) }
  }

  /// Goes to where `count` bytes are drawn.
  mutating func skip(to count: UInt64, seed: UInt64) {
    generator = SplitMix64(state: seed &+ SplitMix64.step &* count)
  }

  /// How far it has come.
  public var archivedState: [UInt8] {
    get {
      var bytes = [UInt8](repeating: 0, count: 8)
      bytes.store64(0, generator.state)
      return bytes
    }
    set { generator.state = newValue.load64(0) }
  }
}

/// A small generator of 64-bit numbers with a period of 2^64.
///
/// - SeeAlso: Steele, Lea, Flood, 'Fast Splittable Pseudorandom Number Generators' (OOPSLA 2014).
struct SplitMix64: RandomNumberGenerator {
  /// What the state goes on by with each number.
  static let step: UInt64 = 0x9e37_79b9_7f4a_7c15
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= Self.step
    var z = state
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }
}
