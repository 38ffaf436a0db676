import CHostX86
import Engine
import Foundation
import X86

/// Runs instances here and compares with what the host made of them.
final class X86Judge {
  private let ram: PhysicalMemory
  private let isa = X64()
  private let hart: Hart
  private static let codePA: UInt64 = 0x1000
  private static let dataPA: UInt64 = 0x10000
  private var codeUsed: Range<UInt64> = 0..<0

  init?() {
    guard let ram = PhysicalMemory(base: 0, size: 1 << 20) else { return nil }
    self.ram = ram
    hart = Hart(
      index: 0, bus: Bus(ram: ram), isa: isa, cacheModel: .coherent, tlbCount: X64.tlbCount)
    isa.reset(hart, pc: X86Generator.code)
    isa.regions = [
      FlatRegion(
        va: X86Generator.code, size: X86Generator.codeSize, pa: Self.codePA,
        protection: [.read, .execute]),
      FlatRegion(
        va: X86Generator.dataStart, size: X86Generator.dataSize, pa: Self.dataPA,
        protection: [.read, .write]),
      FlatRegion(
        va: X86Generator.dataStart + X86Generator.dataSize, size: 4096,
        pa: Self.dataPA + X86Generator.dataSize, protection: .read),
    ]
  }

  /// Takes over the data pages of a batch.
  func begin(_ data: UnsafeRawPointer) {
    let bytes = UnsafeRawBufferPointer(start: data, count: Int(HOSTX86_ALL_DATA_SIZE))
    ram.write(Self.dataPA, Array(bytes))
  }

  /// - Returns: what is wrong.
  func compare(_ one: X86Case, _ instance: X86Instance, _ data: UnsafeRawPointer) -> String? {
    let before = instance.before
    let rip = before.c.pointee.rip
    ram.write(Self.codePA + (rip - X86Generator.code), instance.code)
    load(before)
    _ = hart.run(until: hart.count + 1)
    let exception = isa.lastException
    defer { isa.forgetException() }
    return check(one, instance, exception, data)
  }

  private func load(_ state: X86State) {
    let x = hart.x
    for index in 0..<16 { x[Registers.gpr + index] = state.gpr[index] }
    x[Slot.pc] = state.c.pointee.rip
    RFlags.write(x, state.c.pointee.rflags | RFlags.trap)
    X64.modeChanged(hart)
    x[Registers.fsBase] = state.c.pointee.fsbase
    x[Registers.gsBase] = state.c.pointee.gsbase
    for index in 0..<64 { x[Registers.vector + index] = state.vectors[index] }
    x[Registers.mxcsr] = UInt64(state.c.pointee.mxcsr)
  }

  private func check(
    _ one: X86Case, _ instance: X86Instance, _ exception: X64Exception?, _ data: UnsafeRawPointer
  ) -> String? {
    let x = hart.x
    let after = instance.after
    var complaints: [String] = []
    func expect(_ what: @autoclosure () -> String, _ here: UInt64, _ host: UInt64) {
      if here != host { complaints.append("\(what()) is \(hex(here)), host \(hex(host))") }
    }
    let vector = UInt64(instance.c.pointee.vector)
    expect("vector", UInt64(exception?.vector ?? 1), vector)
    if let exception, UInt64(exception.vector) == vector, vector >= 10 {
      var host = UInt64(instance.c.pointee.errorCode)
      if vector == 14 {
        expect("cr2", exception.address, instance.c.pointee.cr2)
        // What is mapped from the end of the lower half on is the host kernel's affair.
        if instance.c.pointee.cr2 >= 0x7fff_ffff_f000 { host &= ~1 }
      }
      expect("error code", exception.errorCode, host)
    }
    expect("rip", hart.pc, after.c.pointee.rip)
    for index in 0..<16 {
      expect(
        Registers.name(UInt8(index), size: 8, rex: true), x[Registers.gpr + index],
        after.gpr[index])
    }
    // TF, RF.
    var ignored: UInt64 = 0x10100
    if exception == nil || exception?.vector == 1 { ignored |= one.undefinedFlags }
    expect("rflags", RFlags.read(x) & ~ignored, after.c.pointee.rflags & ~ignored)
    expect("fs", x[Registers.fsBase], after.c.pointee.fsbase)
    expect("gs", x[Registers.gsBase], after.c.pointee.gsbase)
    for index in 0..<64 {
      expect(
        "ymm\(index / 4)[\(index % 4)]", x[Registers.vector + index], after.vectors[index])
    }
    expect("mxcsr", x[Registers.mxcsr], UInt64(after.c.pointee.mxcsr))
    if let wrong = checkMemory(instance, data) { complaints.append(wrong) }
    return complaints.isEmpty ? nil : complaints.joined(separator: "\n  ")
  }

  private func checkMemory(_ instance: X86Instance, _ data: UnsafeRawPointer) -> String? {
    let here = ram.pointer(Self.dataPA)
    let lines = Int(instance.c.pointee.lines)
    var wrong: String?
    for index in 0..<min(lines, Int(HOSTX86_LINES)) {
      let line = instance.line(index)
      let host = instance.lineBytes(index)
      for byte in 0..<64 {
        let at = line * 64 + byte
        let ours = here.load(fromByteOffset: at, as: UInt8.self)
        let theirs = host.load(fromByteOffset: byte, as: UInt8.self)
        if ours != theirs, wrong == nil {
          wrong =
            "memory at \(hex(X86Generator.dataStart + UInt64(at))) is \(hex(UInt64(ours))), "
            + "host \(hex(UInt64(theirs)))"
        }
      }
      (here + line * 64).copyMemory(from: data + line * 64, byteCount: 64)
    }
    if memcmp(here, data, Int(HOSTX86_DATA_SIZE)) != 0 {
      here.copyMemory(from: data, byteCount: Int(HOSTX86_DATA_SIZE))
      wrong = wrong ?? "memory was written that the host left alone"
    }
    return wrong
  }
}
