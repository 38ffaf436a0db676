import Foundation
import Testing
import VectorFile

@testable import Engine
@testable import RISCV

/// The instructions, case by case, by the text files in `Vectors`.
@Suite struct Vectors {
  static let folder = URL(filePath: #filePath).deletingLastPathComponent().appending(
    path: "Vectors")

  static let files: [String] = {
    let names = try? FileManager.default.contentsOfDirectory(atPath: folder.path)
    return (names ?? []).filter { $0.hasSuffix(".ins") }.sorted()
  }()

  static func load(_ name: String) throws -> [Vector] {
    try Vector.parse(
      String(contentsOf: folder.appending(path: name), encoding: .utf8), file: name)
  }

  @Test func everyOperationHasACase() throws {
    var missing = Set(RISCV.Op.allCases)
    var rows = Set(Encodings.allRows.map(\.mnemonic))
    for file in Self.files {
      for vector in try Self.load(file) {
        if let insn = Decoder.decode(vector.bits) {
          missing.remove(insn.op)
          if let row = Encodings.row(of: vector.bits) { rows.remove(row.mnemonic) }
        }
      }
    }
    #expect(missing.isEmpty)
    #expect(rows.isEmpty)
  }

  @Test(arguments: files)
  func bytesAreTheDisassembly(file: String) throws {
    for vector in try Self.load(file) {
      let insn = Decoder.decode(vector.bits)
      let text = insn.map {
        Disassembler.text($0, pc: vector.pc).replacing("\t", with: " ")
      }
      #expect(text ?? "illegal" == vector.disassembly, "\(vector.place)")
      if let insn { #expect(Encoder.encode(insn) == vector.bits, "\(vector.place)") }
    }
  }

  @Test(arguments: files, CacheModel.allCases)
  func instructionsDoAsTheySay(file: String, caches: CacheModel) throws {
    let bench = try #require(Bench(caches))
    for vector in try Self.load(file) {
      for complaint in bench.run(vector) { Issue.record("\(vector.place): \(complaint)") }
    }
  }
}

/// A hart on which vectors are run one after another.
private final class Bench {
  private static let size: UInt64 = 1 << 20
  private static let vector: UInt64 = 0x8000
  private let ram: PhysicalMemory
  private let expected: UnsafeMutableRawPointer
  private let isa = RV64()
  private let hart: Hart

  init?(_ caches: CacheModel) {
    guard let ram = PhysicalMemory(base: 0, size: Self.size) else { return nil }
    self.ram = ram
    hart = Hart(
      index: 0, bus: Bus(ram: ram), isa: isa, cacheModel: caches, tlbCount: RV64.tlbCount)
    expected = .allocate(byteCount: Int(Self.size), alignment: 4096)
    memset(expected, 0, Int(Self.size))
  }

  deinit { expected.deallocate() }

  private func poke(_ address: UInt64, _ bytes: [UInt8]) {
    ram.write(address, bytes)
    for (index, byte) in bytes.enumerated() {
      expected.storeBytes(of: byte, toByteOffset: Int(address) + index, as: UInt8.self)
    }
  }

  private static func bytes(_ value: UInt64, _ size: Int) -> [UInt8] {
    (0..<size).map { UInt8(truncatingIfNeeded: value >> UInt64($0 * 8)) }
  }

  /// A value that no vector writes by chance.
  private static func filler(_ slot: Int) -> UInt64 { 0x5a5a_0000_c3c3_0000 | UInt64(slot) }

  private func slot(_ name: String) -> Int? {
    if let number = Registers.x(named: name) { return Int(number) }
    return Registers.f(named: name).map { Slot.fp + Int($0) }
  }

  private func set(_ name: String, _ value: UInt64) -> Bool {
    if let slot = slot(name) {
      hart.x[slot] = value
      return true
    }
    guard let row = SystemRegisters.table.first(where: { $0.name == name }) else { return false }
    return isa.writeRegister(row.number, value, hart)
  }

  private func get(_ name: String) -> UInt64? {
    slot(name).map { hart.x[$0] } ?? isa.register(name, hart)
  }

  private static let watched = [
    "fcsr", "mstatus", "mtvec", "medeleg", "mideleg", "mie", "mip", "mscratch", "mepc", "mcause",
    "mtval", "stvec", "sscratch", "sepc", "scause", "stval", "satp", "mcounteren", "scounteren",
    "pmpcfg0", "pmpaddr0", "menvcfg", "senvcfg", "mcountinhibit", "stimecmp",
  ]

  /// - Returns: what is wrong.
  func run(_ vector: Vector) -> [String] {
    isa.reset(hart, pc: vector.pc)
    for slot in SystemSlot.mstatus..<SystemSlot.satp { hart.x[slot] = 0 }
    hart.x[Slot.reservation] = .max
    isa.grantAllMemory(hart)
    for number in 1..<32 { hart.x[number] = Self.filler(number) }
    for number in 0..<32 { hart.x[Slot.fp + number] = Self.filler(64 + number) }
    var complaints: [String] = []
    for (name, value) in [("mtvec", Self.vector), ("mstatus", Status.fs), ("fcsr", 0)] + [
      ("mepc", 0x7770), ("mcause", 0x77), ("mtval", 0x777),
    ] + vector.before.values.map({ ($0.name, $0.value) }) {
      if !set(name, value) { complaints.append("there is no \(name)") }
    }
    for (address, size, value) in vector.before.memory { poke(address, Self.bytes(value, size)) }
    poke(vector.pc, vector.bytes)
    hart.synchronizeInstructionFetch()
    let privilege = vector.before.privilege ?? 3
    hart.x[SystemSlot.privilege] = privilege
    isa.updateMode(hart)

    let registers = (0..<96).map { hart.x[$0] }
    let system = Self.watched.map { ($0, get($0) ?? 0) }
    let stop = hart.run(until: hart.count + 1)

    if stop != (vector.after["wait"] == 1 ? .waiting : .budget) { complaints.append("\(stop)") }
    check(vector, registers, system, privilege, &complaints)
    for (address, size, value) in vector.after.memory {
      for (index, byte) in Self.bytes(value, size).enumerated() {
        expected.storeBytes(of: byte, toByteOffset: Int(address) + index, as: UInt8.self)
      }
    }
    if memcmp(ram.host, expected, Int(Self.size)) != 0 {
      complaints.append(memoryDifference())
    }
    memcpy(expected, ram.host, Int(Self.size))
    for (address, size, _) in vector.before.memory + vector.after.memory {
      poke(address, [UInt8](repeating: 0, count: size))
    }
    poke(vector.pc, [0, 0, 0, 0])
    return complaints
  }

  private func memoryDifference() -> String {
    for at in 0..<Int(Self.size) {
      let here = ram.host.load(fromByteOffset: at, as: UInt8.self)
      let there = expected.load(fromByteOffset: at, as: UInt8.self)
      if here != there { return "memory at \(hex(UInt64(at))) is \(here), not \(there)" }
    }
    return "memory differs"
  }

  private func check(
    _ vector: Vector, _ registers: [UInt64], _ system: [(String, UInt64)], _ privilege: UInt64,
    _ complaints: inout [String]
  ) {
    func expect(_ what: String, _ value: UInt64, _ expected: UInt64) {
      if value != expected {
        complaints.append("\(what) is \(hex(value)), not \(hex(expected))")
      }
    }
    var registers = registers
    var system = Dictionary(uniqueKeysWithValues: system)
    var pc = vector.pc &+ UInt64(vector.bytes.count)
    var level = vector.after.privilege ?? privilege
    if let cause = vector.after["trap"] {
      pc = Self.vector
      level = 3
      system["mepc"] = vector.pc
      system["mcause"] = cause
      system["mtval"] = vector.after["tval"]
      var status = (system["mstatus"] ?? 0) & ~(Status.mpie | Status.mpp | Status.mie)
      if (system["mstatus"] ?? 0) & Status.mie != 0 { status |= Status.mpie }
      system["mstatus"] = status | privilege << 11
    }
    for (name, value) in vector.after.values {
      switch name {
      case "trap", "tval", "wait": break
      case "pc": pc = value
      case "fflags": system["fcsr"] = (system["fcsr"] ?? 0) & ~0x1f | value
      default:
        if let slot = slot(name) {
          registers[slot] = value
        } else {
          system[name] = value
        }
      }
    }
    expect("pc", hart.pc, pc)
    expect("priv", isa.privilege(hart), level)
    for number in 0..<32 {
      expect(Registers.xName(UInt8(number)), hart.x[number], registers[number])
    }
    for number in 0..<32 {
      expect(
        Registers.fName(UInt8(number)), hart.x[Slot.fp + number], registers[Slot.fp + number])
    }
    for (name, value) in system { expect(name, get(name) ?? 0, value) }
  }
}

func hex(_ value: UInt64) -> String { "0x" + String(value, radix: 16) }
