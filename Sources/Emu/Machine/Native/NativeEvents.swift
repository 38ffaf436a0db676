import Engine
import TraceFile
import X86

/// What happens in a native program, as a register trace tells it.
enum NativeEvent: Equatable {
  /// An instruction, the registers behind it, and the pc behind it.
  case step(pc: UInt64, bytes: [UInt8], changes: [NativeChange], next: UInt64)
  /// The host's kernel put the program elsewhere: its start (0), or a signal's handler.
  case arrival(signal: UInt8, changes: [NativeChange], next: UInt64)
  /// Bytes that the program did not write itself: a page, or a part of one.
  case written(address: UInt64, bytes: [UInt8])
  /// Bytes that the program has changed since the last ``compared``.
  case expected(address: UInt64, bytes: [UInt8])
  /// Everything that changed was said: memory can be compared now.
  case compared
  /// Its end.
  case end(NativeEnd)
}

/// A register that has a new value.
struct NativeChange: Equatable {
  /// Its number in ``X86TraceISA/program``.
  var register: Int
  /// Its value.
  var value: UInt64
}

/// Why a register trace ends.
enum NativeEnd: Equatable {
  /// The program ended with this status.
  case exited(UInt8)
  /// A signal ended it.
  case killed(UInt8)
  /// The trace has as many instructions as were asked for.
  case limit
  /// The user interrupted it.
  case interrupted
  /// It started a thread, which can't be followed.
  case thread
  /// It went over to code of another mode than 64-bit.
  case mode
  /// The host lost it.
  case lost(UInt8)

  fileprivate var encoded: (code: UInt8, detail: UInt8) {
    switch self {
    case .exited(let status): (0, status)
    case .killed(let signal): (1, signal)
    case .limit: (2, 0)
    case .interrupted: (3, 0)
    case .thread: (4, 0)
    case .mode: (5, 0)
    case .lost(let error): (6, error)
    }
  }

  fileprivate init?(_ code: UInt8, _ detail: UInt8) {
    switch code {
    case 0: self = .exited(detail)
    case 1: self = .killed(detail)
    case 2: self = .limit
    case 3: self = .interrupted
    case 4: self = .thread
    case 5: self = .mode
    case 6: self = .lost(detail)
    default: return nil
    }
  }

  /// In words, behind "the program".
  var text: String {
    switch self {
    case .exited(let status): "exited with status \(status)"
    case .killed(let signal): "was killed by signal \(signal)"
    case .limit: "reached the limit of instructions"
    case .interrupted: "was interrupted"
    case .thread: "started a thread, which can't be followed"
    case .mode: "went over to code that is not 64-bit"
    case .lost(let error): "was lost (error \(error) of the host)"
    }
  }
}

/// Writes events as `NATV` records: `Docs/trace-format.md`.
final class NativeLogWriter {
  private let writer: TraceWriter
  private var record = ByteWriter()
  private var first: UInt64 = 0
  private var known: [UInt64: [UInt8]] = [:]
  private var expectedPC: UInt64 = 0
  /// Instructions so far.
  private(set) var insns: UInt64 = 0

  private static let most = 1 << 20

  init(_ writer: TraceWriter) { self.writer = writer }

  func add(_ event: NativeEvent) {
    switch event {
    case .step(let pc, let bytes, let changes, let next):
      record.fixed(UInt8(0))
      record.number(zigzag(pc &- expectedPC))
      if known[pc] == bytes {
        record.number(0)
      } else {
        known[pc] = bytes
        record.counted(bytes)
      }
      add(changes)
      record.number(zigzag(next &- pc))
      expectedPC = next
      insns &+= 1
    case .arrival(let signal, let changes, let next):
      record.fixed(UInt8(1))
      record.fixed(signal)
      add(changes)
      record.number(next)
      expectedPC = next
    case .written(let address, let bytes):
      record.fixed(UInt8(2))
      record.number(address)
      record.counted(bytes)
    case .expected(let address, let bytes):
      record.fixed(UInt8(3))
      record.number(address)
      record.counted(bytes)
    case .compared: record.fixed(UInt8(4))
    case .end(let end):
      record.fixed(UInt8(5))
      record.fixed(end.encoded.code)
      record.fixed(end.encoded.detail)
    }
    if record.count >= Self.most { flush() }
  }

  private func add(_ changes: [NativeChange]) {
    record.number(UInt64(changes.count))
    for change in changes {
      record.fixed(UInt8(change.register))
      record.number(change.value)
    }
  }

  /// Writes what is left.
  func flush() {
    guard record.count > 0 else { return }
    writer.write(.native, first: first, record.data)
    record.removeAll()
    first = insns
  }
}

/// Reads what ``NativeLogWriter`` wrote.
struct NativeLogReader {
  private let file: TraceReader
  private var chunk = 0
  private var reader = ByteReader([])
  private var known: [UInt64: [UInt8]] = [:]
  private var expectedPC: UInt64 = 0
  /// Instructions so far.
  private(set) var insns: UInt64 = 0
  /// The end was read.
  private(set) var end: NativeEnd?

  init(_ file: TraceReader) { self.file = file }

  /// Whether the file has a register trace.
  static func isOne(_ file: TraceReader) -> Bool {
    file.chunks.contains { $0.header.kind == .native }
  }

  /// The next event; `nil` at the end of the file.
  mutating func next() throws(TraceFileError) -> NativeEvent? {
    while reader.isAtEnd {
      while chunk < file.chunks.count, file.chunks[chunk].header.kind != .native { chunk += 1 }
      guard chunk < file.chunks.count else { return nil }
      let record = try file.record(chunk)
      chunk = record.next
      reader = ByteReader(record.bytes)
    }
    let kind: UInt8 = try reader.fixed()
    switch kind {
    case 0: return try step()
    case 1:
      let signal: UInt8 = try reader.fixed()
      let changes = try changes()
      expectedPC = try reader.number()
      return .arrival(signal: signal, changes: changes, next: expectedPC)
    case 2: return .written(address: try reader.number(), bytes: try memory())
    case 3: return .expected(address: try reader.number(), bytes: try memory())
    case 4: return .compared
    case 5:
      let code: UInt8 = try reader.fixed()
      guard let found = NativeEnd(code, try reader.fixed()) else {
        throw .malformed("an end of kind \(code)")
      }
      end = found
      return .end(found)
    default: throw .malformed("an event of kind \(kind)")
    }
  }

  private mutating func memory() throws(TraceFileError) -> [UInt8] {
    let bytes = try reader.counted()
    guard bytes.count <= 4096 else { throw .malformed("more than a page of memory at once") }
    return bytes
  }

  private mutating func step() throws(TraceFileError) -> NativeEvent {
    let pc = expectedPC &+ unzigzag(try reader.number())
    var bytes = try reader.counted()
    if bytes.isEmpty {
      guard let before = known[pc] else {
        throw .malformed("an instruction at 0x\(String(pc, radix: 16)) without its bytes")
      }
      bytes = before
    } else {
      guard bytes.count <= 15 else { throw .malformed("an instruction of more than 15 bytes") }
      known[pc] = bytes
    }
    let changes = try changes()
    let next = pc &+ unzigzag(try reader.number())
    expectedPC = next
    insns &+= 1
    return .step(pc: pc, bytes: bytes, changes: changes, next: next)
  }

  private mutating func changes() throws(TraceFileError) -> [NativeChange] {
    var found: [NativeChange] = []
    for _ in 0..<(try reader.number(upTo: X86TraceISA.program.count)) {
      let register: UInt8 = try reader.fixed()
      guard Int(register) < X86TraceISA.program.count else {
        throw .malformed("a register of number \(register)")
      }
      found.append(NativeChange(register: Int(register), value: try reader.number()))
    }
    return found
  }
}

/// A difference as a small number, whichever its sign.
private func zigzag(_ value: UInt64) -> UInt64 {
  value << 1 ^ UInt64(bitPattern: Int64(bitPattern: value) >> 63)
}

private func unzigzag(_ value: UInt64) -> UInt64 { value >> 1 ^ (0 &- (value & 1)) }
