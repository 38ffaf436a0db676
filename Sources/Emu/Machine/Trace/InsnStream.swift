import Engine
import TraceFile

/// Which blocks a run executed, as `INSN` records: `Docs/trace-format.md`.
///
/// A record has the definitions of blocks that are new in it, then numbers of blocks of four bytes
/// each. Everything else follows from the recording by running it once more.
final class InsnStreamWriter {
  /// Where the kind of code stands above the MMU index.
  static let codeShift: UInt64 = 4

  private let writer: TraceWriter
  private(set) var blocks: UInt64 = 0

  init(_ writer: TraceWriter) { self.writer = writer }

  /// Takes a full buffer of a ``BlockLog``.
  func add(
    _ hart: Int, _ first: UInt64, _ definitions: [BlockLog.Definition],
    _ ids: UnsafeBufferPointer<UInt32>
  ) {
    var record = ByteWriter()
    record.number(UInt64(hart))
    record.number(UInt64(definitions.count))
    for block in definitions {
      record.number(UInt64(block.id))
      record.number(block.pc)
      record.number(UInt64(block.mode) | UInt64(block.code) << Self.codeShift)
      record.number(UInt64(block.insns.count))
      for insn in block.insns { record.counted(insn) }
    }
    record.number(UInt64(ids.count))
    record.bytes(UnsafeRawBufferPointer(ids))
    blocks &+= UInt64(ids.count)
    writer.write(.insns, first: first, record.data)
  }
}

/// Reads what ``InsnStreamWriter`` wrote.
public final class InsnStream {
  /// A block, or what of it was executed.
  public struct Run: Sendable, Equatable {
    /// The hart.
    public var hart: Int
    /// The number of its first instruction.
    public var count: UInt64
    /// The address of its first instruction.
    public var pc: UInt64
    /// The bytes of each instruction that was executed.
    public var insns: [[UInt8]]
    /// Which of the hart's modes it ran in.
    public var mode: Int
    /// As what its code was read.
    public var code: CodeKind
  }

  private struct Block {
    var pc: UInt64
    var insns: [[UInt8]]
    var mode: Int
    var code: CodeKind

    /// It or the first instructions of it.
    func run(_ hart: Int, _ count: UInt64, _ insns: [[UInt8]]) -> Run {
      Run(hart: hart, count: count, pc: pc, insns: insns, mode: mode, code: code)
    }
  }

  private let file: TraceReader
  private var blocks: [Int: [UInt32: Block]] = [:]

  /// A stream of a file.
  public init(_ file: TraceReader) { self.file = file }

  /// Whether the file has one.
  public var isEmpty: Bool { !file.chunks.contains { $0.header.kind == .insns } }

  /// What traces must know of the instruction set that the file names; RISC-V's where it names none.
  ///
  /// - Throws: what is wrong with the file.
  public func makeTraceISA() throws(TraceFileError) -> any TraceISA {
    var name = ProgramArchitecture.riscv64.rawValue
    if let index = file.chunks.firstIndex(where: { $0.header.kind == .configuration }) {
      let description = try RunDescription(decoding: try file.record(index).bytes)
      name = description[RunDescription.instructionSet] ?? name
    }
    guard let architecture = ProgramArchitecture(rawValue: name) else {
      throw .malformed("the instruction set '\(name)' is not known")
    }
    return architecture.trace
  }

  /// Gives every block that was run, in order.
  ///
  /// - Parameter body: takes a run; `false` ends it.
  /// - Throws: what is wrong with the file.
  public func read(_ body: (Run) -> Bool) throws(TraceFileError) {
    var index = 0
    while index < file.chunks.count {
      guard file.chunks[index].header.kind == .insns else {
        index += 1
        continue
      }
      let first = file.chunks[index].header.first
      let record = try file.record(index)
      index = record.next
      guard try readRecord(record.bytes, first, body) else { return }
    }
  }

  private func readRecord(
    _ bytes: [UInt8], _ first: UInt64, _ body: (Run) -> Bool
  ) throws(TraceFileError) -> Bool {
    var reader = ByteReader(bytes)
    let hart = try reader.number(upTo: 63)
    // Numbers were each hart's own in versions before.
    let table = file.version.minor < 2 ? hart : 0
    let shift = Int(InsnStreamWriter.codeShift)
    for _ in 0..<(try reader.number(upTo: reader.left)) {
      let id = UInt32(try reader.number(upTo: Int(UInt32.max)))
      let pc = try reader.number()
      let mode = try reader.number(upTo: 255)
      var insns: [[UInt8]] = []
      for _ in 0..<(try reader.number(upTo: BlockBuilder.maxInsns)) {
        insns.append(try reader.counted())
      }
      blocks[table, default: [:]][id] = Block(
        pc: pc, insns: insns, mode: mode & (1 << shift - 1),
        code: CodeKind(truncatingIfNeeded: mode >> shift))
    }
    let count = try reader.number(upTo: reader.left / 4)
    var at = first
    // A block is given once it is known how much of it was run: by what follows.
    var open: Block?
    for _ in 0..<count {
      let id: UInt32 = try reader.fixed()
      if id == BlockLog.gap {
        isGap = true
        continue
      }
      if isGap {
        isGap = false
        // How many instructions were begun since the block before began.
        if let block = open {
          let part = block.insns.prefix(Int(id))
          guard body(block.run(hart, at, Array(part))) else { return false }
        }
        at &+= UInt64(id)
        open = nil
        continue
      }
      if let block = open {
        guard body(block.run(hart, at, block.insns)) else { return false }
        at &+= UInt64(block.insns.count)
      }
      guard let block = blocks[table]?[id] else { throw .malformed("block \(id) is not defined") }
      open = block
    }
    if let block = open {
      return body(block.run(hart, at, block.insns))
    }
    return true
  }

  private var isGap = false
}
