import Engine
import TraceFile

/// Which blocks a run executed, as `INSN` records: `Docs/trace-format.md`.
///
/// A record has the definitions of blocks that are new in it, then numbers of blocks of four bytes
/// each. Everything else follows from the recording by running it once more.
final class InsnStreamWriter {
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
      record.number(UInt64(block.mode))
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
  }

  private struct Block {
    var pc: UInt64
    var insns: [[UInt8]]
    var mode: Int
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
    for _ in 0..<(try reader.number(upTo: reader.left)) {
      let id = UInt32(try reader.number(upTo: Int(UInt32.max)))
      let pc = try reader.number()
      let mode = try reader.number(upTo: 255)
      var insns: [[UInt8]] = []
      for _ in 0..<(try reader.number(upTo: BlockBuilder.maxInsns)) {
        insns.append(try reader.counted())
      }
      blocks[hart, default: [:]][id] = Block(pc: pc, insns: insns, mode: mode)
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
          let run = Run(hart: hart, count: at, pc: block.pc, insns: Array(part), mode: block.mode)
          guard body(run) else { return false }
        }
        at &+= UInt64(id)
        open = nil
        continue
      }
      if let block = open {
        let run = Run(hart: hart, count: at, pc: block.pc, insns: block.insns, mode: block.mode)
        guard body(run) else { return false }
        at &+= UInt64(block.insns.count)
      }
      guard let block = blocks[hart]?[id] else { throw .malformed("block \(id) is not defined") }
      open = block
    }
    if let block = open {
      let run = Run(hart: hart, count: at, pc: block.pc, insns: block.insns, mode: block.mode)
      return body(run)
    }
    return true
  }

  private var isGap = false
}
