import ArgumentParser
import Foundation
import RISCV
import VectorFile

/// `emu-conformance vectors`.
struct VectorsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "vectors",
    abstract: "Has qemu-riscv64 confirm the instruction vectors of the tests.",
    discussion: """
      Cases that need more than user mode (traps, privilege, system registers) are skipped, and so \
      are those where this version of QEMU is known to be wrong or ignorant.

      Example:
        emu-conformance vectors Tests/RISCVTests/Vectors/*.ins
      """)

  @Argument(help: "The files.", completion: .file(extensions: ["ins"]))
  var files: [String]

  mutating func run() throws {
    let qemu = try QEMU()
    var confirmed = 0
    var skipped = 0
    var wrong = 0
    for path in files {
      guard let text = try? String(contentsOfFile: path, encoding: .utf8) else {
        throw ToolError(description: "\(path): can't be read")
      }
      let name = URL(fileURLWithPath: path).lastPathComponent
      let vectors: [Vector]
      do {
        vectors = try Vector.parse(text, file: name)
      } catch {
        throw ToolError(description: "\(error)")
      }
      // Two at a time.
      var running: [(VectorProgram, QEMURun)] = []
      func finish() throws {
        let (program, run) = running.removeFirst()
        let complaints = program.judge(try run.finish())
        if complaints.isEmpty { confirmed += 1 } else { wrong += 1 }
        for complaint in complaints { print("\(program.vector.place): \(complaint)") }
      }
      for vector in vectors {
        guard let program = VectorProgram(vector) else {
          skipped += 1
          continue
        }
        running.append((program, try qemu.start(program.image)))
        if running.count == 2 { try finish() }
      }
      while !running.isEmpty { try finish() }
    }
    print("\(confirmed) vectors confirmed by qemu-riscv64, \(wrong) not, \(skipped) skipped")
    if wrong > 0 { throw ExitCode(1) }
  }
}

/// A vector as a program: it sets the state, jumps to the instruction, and where the instruction
/// should lead to writes the state out.
struct VectorProgram {
  private static let code: UInt64 = 0x1_0000
  private static let setUp: UInt64 = 0x1_8000
  private static let finish: UInt64 = 0x1_9000
  private static let codeEnd: UInt64 = 0x1_a000
  private static let data: UInt64 = 0x2_0000
  private static let dataBytes = 0x2000
  /// x0 to x31 (slot 0: fcsr), f0 to f31.
  private static let table: UInt64 = 0x3_0000

  let vector: Vector
  private var memory = [UInt8](repeating: 0, count: dataBytes)
  private var registers: [UInt64]
  private var expectedMemory: [UInt8]
  private var expected: [UInt64]
  private(set) var image: [UInt8] = []

  /// - Returns: `nil` where user mode can't say.
  init?(_ vector: Vector) {
    self.vector = vector
    guard let insn = Decoder.decode(vector.bits), let row = Encodings.row(of: vector.bits),
      row.ext != .zicond, row.op != .ctzw,
      !row.traits.contains(.csr) || (1...3).contains(insn.imm)
    else { return nil }
    // A value that no case writes by chance.
    registers = (0..<64).map { 0x5a5a_0000_c3c3_0000 | UInt64($0) }
    registers[0] = 0
    guard vector.before.privilege == nil, vector.after.privilege == nil,
      vector.before["pc"] == nil, Self.apply(vector.before, &registers, &memory)
    else { return nil }
    expected = registers
    expectedMemory = memory
    guard Self.apply(vector.after, &expected, &expectedMemory) else { return nil }
    let next = vector.after["pc"] ?? vector.pc &+ UInt64(vector.bytes.count)
    guard next >= Self.code, next < Self.setUp,
      next >= vector.pc &+ UInt64(vector.bytes.count) || next &+ 4 <= vector.pc
    else { return nil }

    // A register that the case has nothing to do with.
    let named = Set(
      (vector.before.values + vector.after.values).compactMap { Registers.x(named: $0.name) })
    let free = (UInt8(1)..<32).reversed().first {
      !named.contains($0) && ![insn.rd, insn.rs1, insn.rs2, insn.rs3, 10, 11, 12, 17].contains($0)
    }
    guard let pointer = free else { return nil }
    expected[Int(pointer)] = Self.table
    assemble(pointer, next)
  }

  private static func apply(
    _ state: Vector.State, _ registers: inout [UInt64], _ memory: inout [UInt8]
  ) -> Bool {
    for (name, value) in state.values {
      if let number = Registers.x(named: name) {
        registers[Int(number)] = value
      } else if let number = Registers.f(named: name) {
        registers[32 + Int(number)] = value
      } else if name == "fcsr" {
        registers[0] = value
      } else if name == "fflags" {
        registers[0] = registers[0] & ~0x1f | value
      } else if name != "pc" {
        return false
      }
    }
    for (address, size, value) in state.memory {
      guard address >= data, address + UInt64(size) <= data + UInt64(dataBytes) else {
        return false
      }
      for byte in 0..<size {
        memory[Int(address - data) + byte] = UInt8(truncatingIfNeeded: value >> UInt64(byte * 8))
      }
    }
    return true
  }

  private mutating func assemble(_ pointer: UInt8, _ next: UInt64) {
    var text = [UInt8](repeating: 0, count: Int(Self.codeEnd - Self.code))
    func put(_ at: UInt64, _ bytes: [UInt8]) {
      for (index, byte) in bytes.enumerated() { text[Int(at - Self.code) + index] = byte }
    }
    var at: UInt64 = 0
    func emit(_ insn: Insn) {
      guard let bits = Encoder.encode(insn) else { preconditionFailure("no encoding: \(insn)") }
      put(at, (0..<4).map { UInt8(truncatingIfNeeded: bits >> UInt32($0 * 8)) })
      at += 4
    }
    func jump(from: UInt64, to: UInt64) {
      at = from
      emit(Insn(op: .jal, imm: Int64(to) - Int64(from)))
    }
    jump(from: next, to: Self.finish)
    put(vector.pc, vector.bytes)

    at = Self.setUp
    emit(Insn(op: .lui, rd: pointer, imm: Int64(Self.table)))
    emit(Insn(op: .ld, rd: 10, rs1: pointer))
    emit(Insn(op: .csrrw, rs1: 10, imm: 3))
    for number in UInt8(0)..<32 {
      emit(Insn(op: .fld, rd: number, rs1: pointer, imm: 256 + Int64(number) * 8))
    }
    for number in UInt8(1)..<32 where number != pointer {
      emit(Insn(op: .ld, rd: number, rs1: pointer, imm: Int64(number) * 8))
    }
    jump(from: at, to: vector.pc)

    at = Self.finish
    for number in UInt8(1)..<32 {
      emit(Insn(op: .sd, rs1: pointer, rs2: number, imm: Int64(number) * 8))
    }
    for number in UInt8(0)..<32 {
      emit(Insn(op: .fsd, rs1: pointer, rs2: number, imm: 256 + Int64(number) * 8))
    }
    emit(Insn(op: .csrrs, rd: 10, imm: 3))
    emit(Insn(op: .sd, rs1: pointer, rs2: 10))
    for (address, count) in [(Self.table, 512), (Self.data, Self.dataBytes)] {
      emit(Insn(op: .addi, rd: 17, imm: 64))
      emit(Insn(op: .addi, rd: 10, imm: 1))
      emit(Insn(op: .lui, rd: 11, imm: Int64(address)))
      if count < 2048 {
        emit(Insn(op: .addi, rd: 12, imm: Int64(count)))
      } else {
        emit(Insn(op: .lui, rd: 12, imm: Int64(count)))
      }
      emit(Insn(op: .ecall))
    }
    emit(Insn(op: .addi, rd: 17, imm: 94))
    emit(Insn(op: .addi, rd: 10))
    emit(Insn(op: .ecall))

    var table: [UInt8] = []
    for value in registers { withUnsafeBytes(of: value.littleEndian) { table += $0 } }
    image = ELFImage.bytes(
      [
        Segment(address: Self.code, bytes: text, executable: true),
        Segment(address: Self.data, bytes: memory), Segment(address: Self.table, bytes: table),
      ], entry: Self.setUp)
  }

  /// - Returns: what is wrong.
  func judge(_ outcome: Outcome) -> [String] {
    guard outcome.status == 0, outcome.output.count == 512 + Self.dataBytes else {
      return ["qemu-riscv64 does not get to where the case says: status \(outcome.status)"]
    }
    let records = Records(outcome.output, memory: false, complete: true)
    let found = records.registers(0)
    var complaints: [String] = []
    for slot in 0..<64 where found[slot] != expected[slot] {
      complaints.append(
        "\(Records.name(slot)) is \(hex(found[slot])) by qemu, not \(hex(expected[slot]))")
    }
    if Array(outcome.output[512...]) != expectedMemory { complaints.append("memory differs") }
    return complaints
  }
}
