import GuestKernel
import TraceFile

/// Choices as bytes: `Docs/trace-format.md`, 'CHOI'.
///
/// Long bytes lie in records of their own (`BLOB`), each content once; an entry names them by number.
struct ChoiceEncoder {
  /// Bytes up to this many are in the entry itself.
  static let inlineLimit = 256
  private(set) var bytes = ByteWriter()
  /// The count of the last entry.
  private(set) var last: UInt64 = 0
  private(set) var entries: UInt64 = 0

  /// Begins anew, at a count.
  mutating func begin(at count: UInt64) {
    bytes.removeAll()
    last = count
    entries = 0
  }

  /// Adds an entry; `blob` stores bytes and says their number.
  mutating func add(_ entry: ChoiceEntry, blob: ([UInt8]) -> UInt64) {
    entries &+= 1
    bytes.number(UInt64(entry.choice.code))
    bytes.number(entry.count &- last)
    last = entry.count
    switch entry.choice {
    case .slice(let after, let slice):
      bytes.number(after)
      bytes.number(UInt64(slice.hart))
      bytes.number(slice.insns)
    case .timeSlice(let after, let length):
      bytes.number(after)
      bytes.number(length)
    case .consoleRead(let after, let input):
      bytes.number(after)
      switch input {
      case .end: bytes.number(0)
      case .notYet: bytes.number(1)
      case .bytes(let read):
        bytes.number(2)
        add(read, blob)
      }
    case .consoleWrite(let stream, let count, let digest, let result):
      bytes.number(UInt64(stream))
      bytes.number(UInt64(count))
      bytes.fixed(digest)
      bytes.number(UInt64(result?.rawValue ?? 0))
    case .waitForInput(let answer): bytes.number(answer ? 1 : 0)
    case .interrupted(let time): bytes.number(time)
    case .random(let random): add(random, blob)
    case .startOfRun(let time): bytes.number(time)
    case .stat(let path, let node):
      bytes.text(path)
      add(node)
    case .list(let path, let names):
      bytes.text(path)
      bytes.number(names == nil ? 0 : 1)
      if let names {
        bytes.number(UInt64(names.count))
        for name in names { bytes.text(name) }
      }
    case .read(let path, let offset, let count, let read):
      bytes.text(path)
      bytes.number(offset)
      bytes.number(UInt64(count))
      addOptional(read, blob)
    case .contents(let path, let contents, let problem, let missing):
      bytes.text(path)
      addOptional(contents, blob)
      bytes.text(problem)
      bytes.number(missing ? 1 : 0)
    case .driveSize(let drive, let size):
      bytes.number(UInt64(drive))
      bytes.number(size)
    case .driveRead(let drive, let offset, let count, let read):
      bytes.number(UInt64(drive))
      bytes.number(offset)
      bytes.number(UInt64(count))
      addOptional(read, blob)
    case .driveWrite(let drive, let offset, let count, let digest, let isWritten):
      bytes.number(UInt64(drive))
      bytes.number(offset)
      bytes.number(UInt64(count))
      bytes.fixed(digest)
      bytes.number(isWritten ? 1 : 0)
    case .driveFlush(let drive, let isDone):
      bytes.number(UInt64(drive))
      bytes.number(isDone ? 1 : 0)
    }
  }

  private mutating func add(_ content: [UInt8], _ blob: ([UInt8]) -> UInt64) {
    if content.count <= Self.inlineLimit {
      bytes.number(0)
      bytes.counted(content)
    } else {
      bytes.number(1 &+ blob(content))
    }
  }

  private mutating func addOptional(_ content: [UInt8]?, _ blob: ([UInt8]) -> UInt64) {
    bytes.number(content == nil ? 0 : 1)
    if let content { add(content, blob) }
  }

  private mutating func add(_ node: HostNode?) {
    guard let node else { return bytes.number(0) }
    switch node.kind {
    case .file: bytes.number(1)
    case .directory: bytes.number(2)
    case .symlink(let target):
      bytes.number(3)
      bytes.text(target)
    case .other: bytes.number(4)
    }
    bytes.number(UInt64(node.permissions))
    bytes.number(node.size)
    bytes.number(node.modified)
    bytes.number(node.inode)
  }
}

extension Choice {
  /// The number that a trace knows a kind of choice by; never used for another one.
  var code: UInt8 {
    switch self {
    case .slice: 1
    case .timeSlice: 2
    case .consoleRead: 3
    case .consoleWrite: 4
    case .waitForInput: 5
    case .interrupted: 6
    case .random: 7
    case .startOfRun: 8
    case .stat: 9
    case .list: 10
    case .read: 11
    case .contents: 12
    case .driveSize: 13
    case .driveRead: 14
    case .driveWrite: 15
    case .driveFlush: 16
    }
  }
}

/// Reads what ``ChoiceEncoder`` wrote.
struct ChoiceDecoder {
  private var reader: ByteReader
  private var last: UInt64
  private let blob: (Int) -> [UInt8]?

  /// Reads entries; `blob` gives stored bytes by their number.
  init(_ reader: ByteReader, from count: UInt64, blob: @escaping (Int) -> [UInt8]?) {
    self.reader = reader
    last = count
    self.blob = blob
  }

  /// The next entry; `nil` at the end.
  mutating func next() throws(TraceFileError) -> ChoiceEntry? {
    guard !reader.isAtEnd else { return nil }
    let code = try reader.number()
    let (count, overflow) = last.addingReportingOverflow(try reader.number())
    guard !overflow else { throw .malformed("a count of more than 64 bits") }
    last = count
    return ChoiceEntry(count: count, choice: try choice(code))
  }

  private mutating func choice(_ code: UInt64) throws(TraceFileError) -> Choice {
    switch code {
    case 1:
      return .slice(
        after: try reader.number(),
        Slice(hart: try reader.number(upTo: 63), insns: try reader.number()))
    case 2: return .timeSlice(after: try reader.number(), try reader.number())
    case 3:
      let after = try reader.number()
      switch try reader.number(upTo: 2) {
      case 0: return .consoleRead(after: after, .end)
      case 1: return .consoleRead(after: after, .notYet)
      default: return .consoleRead(after: after, .bytes(try content()))
      }
    case 4:
      let stream = try reader.number(upTo: 255)
      let count = try reader.number(upTo: Int.max)
      let digest: UInt64 = try reader.fixed()
      let number = try reader.number(upTo: 4095)
      if number == 0 {
        return .consoleWrite(stream: stream, count: count, digest: digest, nil)
      }
      guard let errno = Errno(rawValue: Int32(number)) else { throw .malformed("errno \(number)") }
      return .consoleWrite(stream: stream, count: count, digest: digest, errno)
    case 5: return .waitForInput(try flag())
    case 6: return .interrupted(time: try reader.number())
    case 7: return .random(try content())
    case 8: return .startOfRun(try reader.number())
    case 9: return .stat(path: try reader.text(), try node())
    case 10:
      let path = try reader.text()
      guard try flag() else { return .list(path: path, nil) }
      var names: [String] = []
      for _ in 0..<(try reader.number(upTo: reader.left)) { names.append(try reader.text()) }
      return .list(path: path, names)
    case 11:
      return .read(
        path: try reader.text(), offset: try reader.number(),
        count: try reader.number(upTo: Int.max), try optionalContent())
    case 12:
      return .contents(
        path: try reader.text(), try optionalContent(), problem: try reader.text(),
        missing: try flag())
    case 13: return .driveSize(try reader.number(upTo: 255), try reader.number())
    case 14:
      return .driveRead(
        try reader.number(upTo: 255), offset: try reader.number(),
        count: try reader.number(upTo: Int.max), try optionalContent())
    case 15:
      return .driveWrite(
        try reader.number(upTo: 255), offset: try reader.number(),
        count: try reader.number(upTo: Int.max), digest: try reader.fixed(), try flag())
    case 16: return .driveFlush(try reader.number(upTo: 255), try flag())
    default: throw .malformed("a choice of the unknown kind \(code)")
    }
  }

  private mutating func flag() throws(TraceFileError) -> Bool { try reader.number(upTo: 1) == 1 }

  private mutating func content() throws(TraceFileError) -> [UInt8] {
    let number = try reader.number(upTo: Int.max)
    guard number > 0 else { return try reader.counted() }
    guard let bytes = blob(number - 1) else { throw .missing("stored file \(number - 1)") }
    return bytes
  }

  private mutating func optionalContent() throws(TraceFileError) -> [UInt8]? {
    try flag() ? try content() : nil
  }

  private mutating func node() throws(TraceFileError) -> HostNode? {
    let kind: HostNode.Kind
    switch try reader.number(upTo: 4) {
    case 0: return nil
    case 1: kind = .file
    case 2: kind = .directory
    case 3: kind = .symlink(try reader.text())
    default: kind = .other
    }
    return HostNode(
      kind: kind, permissions: UInt32(try reader.number(upTo: 0xffff_ffff)),
      size: try reader.number(), modified: try reader.number(), inode: try reader.number())
  }
}
