import CHostX86

@testable import Engine
@testable import X86

/// A hart with the memory that the conformance tool gives its instances.
final class Bench: TestHart {
  /// Where code is put, and where data.
  static let code = UInt64(HOSTX86_CODE)
  static let data = UInt64(HOSTX86_DATA)
  private static let codePA: UInt64 = 0x1000
  private static let dataPA: UInt64 = 0x10000
  private static let dataSize = Int(HOSTX86_ALL_DATA_SIZE)

  private let fill: [UInt8]

  init?(_ caches: CacheModel = .coherent, features: FeatureSet = .announced) {
    var bytes = [UInt8](repeating: 0, count: Self.dataSize)
    bytes.withUnsafeMutableBytes { hostx86_fill($0.baseAddress) }
    fill = bytes
    super.init(memory: 1 << 20, caches: caches, features: features)
    isa.regions = [
      FlatRegion(
        va: Self.code, size: UInt64(HOSTX86_CODE_SIZE), pa: Self.codePA,
        protection: [.read, .execute]),
      FlatRegion(
        va: Self.data, size: UInt64(HOSTX86_DATA_SIZE), pa: Self.dataPA,
        protection: [.read, .write]),
      FlatRegion(
        va: Self.data + UInt64(HOSTX86_DATA_SIZE),
        size: UInt64(Self.dataSize) - UInt64(HOSTX86_DATA_SIZE),
        pa: Self.dataPA + UInt64(HOSTX86_DATA_SIZE), protection: .read),
    ]
    reset()
  }

  /// All registers to values that no vector writes by chance, memory to its pattern.
  func reset() {
    isa.reset(hart, pc: Self.code)
    for register in 0..<16 { hart.x[Registers.gpr + register] = Self.filler(register) }
    for word in 0..<64 { hart.x[Registers.vector + word] = Self.filler(64 + word / 4) }
    ram.write(Self.dataPA, fill)
    isa.forgetException()
  }

  static func filler(_ register: Int) -> UInt64 { 0x5a5a_0000_c3c3_0000 | UInt64(register) }

  func put(_ address: UInt64, _ bytes: [UInt8]) {
    ram.write(Self.codePA + (address - Self.code), bytes)
    hart.synchronizeInstructionFetch()
  }

  private func slot(_ name: String) -> Int? {
    if let slot = Registers.slot(named: name) { return slot }
    if name.hasPrefix("v"), name.contains(".") {
      let parts = name.dropFirst().split(separator: ".").compactMap { Int($0) }
      return parts.count == 2 ? Registers.vector + parts[0] * 4 + parts[1] : nil
    }
    return ["fs": Registers.fsBase, "gs": Registers.gsBase, "mxcsr": Registers.mxcsr][name]
  }

  /// - Returns: what is wrong.
  func run(_ vector: HardwareVector) -> [String] {
    reset()
    let x = hart.x
    put(vector.pc, vector.bytes)
    x[Slot.pc] = vector.pc
    var flags: UInt64 = 0
    var stack = StackState()
    for (name, value) in vector.before {
      if name == "flags" {
        flags = value
      } else if StackState.owns(name) {
        stack[name] = value
      } else if let slot = slot(name) {
        x[slot] = value
      } else {
        return ["there is no \(name)"]
      }
    }
    RFlags.write(x, flags | RFlags.trap | RFlags.interrupt)
    stack.load(x)
    X64.modeChanged(hart)
    let names =
      (0..<16).map { Registers.gpr + $0 } + (0..<64).map { Registers.vector + $0 }
      + [Registers.fsBase, Registers.gsBase, Registers.mxcsr]
    var expected = Dictionary(uniqueKeysWithValues: names.map { ($0, x[$0]) })
    _ = hart.run(until: hart.count + 1)
    for (name, value) in vector.after where StackState.owns(name) { stack[name] = value }
    guard case .insn(let insn) = Decoder.decode(vector.bytes) else {
      return check(vector, &expected, flags, nil)
    }
    let row = Encodings.allRows[Int(insn.row)]
    return check(vector, &expected, flags, row) + stack.check(x, row)
  }

  private func check(
    _ vector: HardwareVector, _ expected: inout [Int: UInt64], _ flags: UInt64, _ row: Row?
  ) -> [String] {
    var complaints: [String] = []
    func expect(_ what: String, _ value: UInt64, _ wanted: UInt64) {
      if value != wanted { complaints.append("\(what) is \(hex(value)), not \(hex(wanted))") }
    }
    var pc: UInt64?
    var flags = flags
    var undefined: UInt64 = 0
    var trap: (vector: UInt64?, error: UInt64, cr2: UInt64) = (nil, 0, 0)
    for (name, value) in vector.after {
      switch name {
      case "pc": pc = value
      case "flags": flags = value
      case "undefined": undefined = value
      case "trap": trap.vector = value
      case "error": trap.error = value
      case "cr2": trap.cr2 = value
      case _ where StackState.owns(name): break
      default:
        guard let slot = slot(name) else { return ["there is no \(name)"] }
        expected[slot] = value
      }
    }
    // The trap behind the single step is the host's way to stop, too.
    let here = UInt64(isa.lastException?.vector ?? 0)
    expect("trap", here == 1 ? 0 : here, trap.vector ?? 0)
    expect("error", isa.lastException?.errorCode ?? 0, trap.error)
    expect("cr2", isa.lastException?.address ?? 0, trap.cr2)
    expect("pc", hart.pc, pc ?? vector.pc)
    let ignored = undefined | 0x10302
    expect("flags", RFlags.read(hart.x) & ~ignored, flags & ~ignored)
    for (slot, value) in expected.sorted(by: { $0.key < $1.key }) {
      if row?.isApproximation(hart.x[slot], value) ?? false { continue }
      expect("slot \(slot)", hart.x[slot], value)
    }
    var memory = fill
    for (address, bytes) in vector.memory {
      for (index, byte) in bytes.enumerated() {
        memory[Int(address - Self.data) + index] = byte
      }
    }
    if ram.bytes(Self.dataPA, Self.dataSize) != memory { complaints.append("memory differs") }
    return complaints
  }
}
