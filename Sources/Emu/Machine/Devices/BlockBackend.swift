#if canImport(Glibc)
private import Glibc
#elseif canImport(Musl)
private import Musl
#endif

/// What keeps the sectors of a block device.
public protocol BlockBackend: AnyObject {
  /// Bytes, a multiple of 512 as far as the device is concerned: a rest is not reachable.
  var size: UInt64 { get }
  /// Writes fail.
  var isReadOnly: Bool { get }
  /// Fills `bytes` from `offset` on. `false` on an error of the host.
  func read(_ offset: UInt64, into bytes: UnsafeMutableRawBufferPointer) -> Bool
  /// Stores `bytes` from `offset` on. `false` on an error of the host.
  func write(_ offset: UInt64, _ bytes: UnsafeRawBufferPointer) -> Bool
  /// Makes what was written so far durable. `false` on an error of the host.
  func flush() -> Bool
  /// Its bytes, where a snapshot of a machine keeps them; `nil` where they are the host's.
  var archivedContents: [UInt8]? { get set }
}

extension BlockBackend {
  /// The host's.
  public var archivedContents: [UInt8]? {
    get { nil }
    set {}
  }
}

/// Sectors in this process's memory, for tests and for runs that must not change a file.
public final class MemoryBlockBackend: BlockBackend {
  /// The bytes.
  public private(set) var bytes: [UInt8]
  /// Writes fail.
  public let isReadOnly: Bool

  /// A device that starts with `bytes`.
  public init(_ bytes: [UInt8], readOnly: Bool = false) {
    self.bytes = bytes
    isReadOnly = readOnly
  }

  /// Bytes.
  public var size: UInt64 { UInt64(bytes.count) }

  /// All of them, unless nobody can write them.
  public var archivedContents: [UInt8]? {
    get { isReadOnly ? nil : bytes }
    set { if let newValue, newValue.count == bytes.count { bytes = newValue } }
  }

  /// Reads bytes.
  public func read(_ offset: UInt64, into to: UnsafeMutableRawBufferPointer) -> Bool {
    guard offset <= size, UInt64(to.count) <= size - offset else { return false }
    bytes.withUnsafeBytes {
      to.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[Int(offset)...].prefix(to.count)))
    }
    return true
  }

  /// Writes bytes.
  public func write(_ offset: UInt64, _ from: UnsafeRawBufferPointer) -> Bool {
    guard !isReadOnly, offset <= size, UInt64(from.count) <= size - offset else { return false }
    bytes.withUnsafeMutableBytes {
      UnsafeMutableRawBufferPointer(rebasing: $0[Int(offset)...]).copyMemory(from: from)
    }
    return true
  }

  /// Makes writes durable.
  public func flush() -> Bool { true }
}

/// Why a drive's file cannot be used.
public struct BlockBackendError: Error, CustomStringConvertible, Equatable {
  /// One line: the path and the reason.
  public let description: String
}

/// Sectors in a file of the host.
public final class FileBlockBackend: BlockBackend {
  /// Bytes.
  public let size: UInt64
  /// Writes fail.
  public let isReadOnly: Bool
  private let descriptor: Int32

  /// Opens a regular file or a block device.
  ///
  /// Its size is taken once.
  public init(path: String, readOnly: Bool) throws(BlockBackendError) {
    func failure(_ reason: String) -> BlockBackendError {
      BlockBackendError(description: "\(path): \(reason)")
    }
    // Opening a pipe must not wait for its other end.
    let opened = open(path, (readOnly ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NONBLOCK)
    guard opened >= 0 else { throw failure(String(cString: strerror(errno))) }
    var status = stat()
    let end = lseek(opened, 0, SEEK_END)
    guard fstat(opened, &status) == 0, end >= 0,
      [S_IFREG, S_IFBLK].contains(status.st_mode & S_IFMT)
    else {
      close(opened)
      throw failure("not a regular file or block device")
    }
    descriptor = opened
    size = UInt64(end)
    isReadOnly = readOnly
  }

  deinit { close(descriptor) }

  /// Reads bytes.
  public func read(_ offset: UInt64, into bytes: UnsafeMutableRawBufferPointer) -> Bool {
    transfer(offset, bytes.count) { done, at in
      pread(descriptor, bytes.baseAddress.map { $0 + done }, bytes.count - done, at)
    }
  }

  /// Writes bytes.
  public func write(_ offset: UInt64, _ bytes: UnsafeRawBufferPointer) -> Bool {
    guard !isReadOnly else { return false }
    return transfer(offset, bytes.count) { done, at in
      pwrite(descriptor, bytes.baseAddress.map { $0 + done }, bytes.count - done, at)
    }
  }

  /// Repeats `step` until all of the range is done; a range outside the file fails.
  private func transfer(_ offset: UInt64, _ count: Int, _ step: (Int, off_t) -> Int) -> Bool {
    guard offset <= size, UInt64(count) <= size - offset else { return false }
    var done = 0
    while done < count {
      let got = step(done, off_t(offset) + off_t(done))
      if got < 0, errno == EINTR { continue }
      guard got > 0 else { return false }
      done += got
    }
    return true
  }

  /// Makes writes durable.
  public func flush() -> Bool { isReadOnly || fdatasync(descriptor) == 0 }
}
