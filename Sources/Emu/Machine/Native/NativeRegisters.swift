import CPtrace
import Engine
import X86

/// The registers of a native program, by their numbers in ``X86TraceISA/program``.
struct NativeRegisters: Equatable {
  /// Their values.
  var values = [UInt64](repeating: 0, count: X86TraceISA.program.count)
  /// The instruction pointer.
  var pc: UInt64 = 0

  /// Whether the program runs 64-bit code: its CS is Linux's `__USER_CS`.
  var isWide = true

  /// Where RFLAGS is among them.
  static let flags = 16

  /// The register of this number.
  subscript(number: Int) -> UInt64 {
    get { values[number] }
    set { values[number] = newValue }
  }

  /// RF and TF belong to who steps, not to the program.
  private static let hidden: UInt64 = 0x1_0100

  /// Takes what the host tells of a stopped process.
  ///
  /// - Returns: 0 or the host's error number.
  mutating func read(_ process: Int32) -> Int32 {
    var general = native_registers()
    var vectors = native_vectors()
    let failure = native_read(process, &general, &vectors)
    guard failure == 0 else { return -failure }
    pc = general.rip
    isWide = general.cs == 0x33
    values.withUnsafeMutableBufferPointer { to in
      guard let gpr = native_gpr(&general), let ymm = native_ymm(&vectors),
        let fpr = native_fpr(&vectors)
      else { return }
      for index in 0..<16 { to[index] = gpr[index] }
      to[16] = general.rflags & ~Self.hidden
      to[17] = general.fsbase
      to[18] = general.gsbase
      for index in 0..<64 { to[19 + index] = ymm[index] }
      to[83] = vectors.mxcsr
      to[84] = vectors.fcw
      to[85] = vectors.fsw
      to[86] = vectors.ftw
      for index in 0..<16 { to[87 + index] = fpr[index] }
    }
    return 0
  }

  /// Gives a stopped process its general registers.
  ///
  /// - Returns: 0 or the host's error number.
  func write(_ process: Int32) -> Int32 {
    var general = native_registers()
    if let gpr = native_gpr(&general) { for index in 0..<16 { gpr[index] = values[index] } }
    general.rip = pc
    general.rflags = values[Self.flags]
    return -native_write(process, &general)
  }
}

/// Answers CPUID and XGETBV as this project's processor does, by asking it.
final class Identification {
  private let hart: Hart
  private let isa = X64()
  private static let code: UInt64 = 0x1000

  init?() {
    guard let ram = PhysicalMemory(base: Self.code, size: PhysicalMemory.pageSize) else {
      return nil
    }
    isa.regions = [
      FlatRegion(
        va: Self.code, size: PhysicalMemory.pageSize, pa: Self.code,
        protection: [.read, .execute, .user])
    ]
    hart = Hart(
      index: 0, bus: Bus(ram: ram), isa: isa, cacheModel: .coherent, tlbCount: X64.tlbCount)
  }

  /// Executes one of these instructions with the registers.
  func answer(_ insn: [UInt8], _ registers: inout NativeRegisters) {
    isa.reset(hart, pc: Self.code)
    _ = hart.ram.write(Self.code, insn)
    for index in 0..<4 { hart.x[Registers.gpr + index] = registers[index] }
    _ = hart.run(until: hart.count &+ 1)
    for index in 0..<4 { registers[index] = hart.x[Registers.gpr + index] }
    registers.pc = registers.pc &+ UInt64(insn.count)
  }
}
