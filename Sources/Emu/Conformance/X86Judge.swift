import CHostX86
import Engine
import Foundation
import X86

/// Runs instances here and compares with what the host made of them.
final class X86Judge {
  private let ram: PhysicalMemory
  private let isa = X64(features: .all)
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

  /// Takes over the data pages of a batch; of the code before there is nothing left, as in the child.
  func begin(_ data: UnsafeRawPointer) {
    ram.write(Self.codePA, [UInt8](repeating: 0xcc, count: Int(X86Generator.codeSize)))
    let bytes = UnsafeRawBufferPointer(start: data, count: Int(HOSTX86_ALL_DATA_SIZE))
    ram.write(Self.dataPA, Array(bytes))
  }

  /// Whether the last instance can't be compared: it reached memory of the child's own.
  private(set) var isForeign = false

  /// - Returns: what is wrong.
  func compare(_ one: X86Case, _ instance: X86Instance, _ data: UnsafeRawPointer) -> String? {
    let before = instance.before
    let rip = before.c.pointee.rip
    ram.write(Self.codePA + (rip - X86Generator.code), instance.code)
    load(before)
    _ = hart.run(until: hart.count + 1)
    let exception = isa.lastException
    defer { isa.forgetException() }
    let wrong = check(one, instance, exception, data)
    // The child is a process with a stack and libraries of its own, which a random address may meet.
    isForeign =
      wrong != nil && exception?.vector == 14 && instance.c.pointee.vector != 14
      && exception.map { hostx86_has($0.address) != 0 } == true
    return isForeign ? nil : wrong
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
    x[Registers.fpControl] = UInt64(state.c.pointee.fcw)
    x[Registers.fpStatus] = UInt64(state.c.pointee.fsw)
    x[Registers.fpTag] = (0..<8).reduce(0) {
      $0 | (state.c.pointee.ftw >> UInt16($1) & 1 == 0 ? 3 << UInt64($1 * 2) : 0)
    }
    x[Registers.fpOpcode] = UInt64(state.c.pointee.fop)
    x[Registers.fpInstruction] = state.c.pointee.fip
    x[Registers.fpOperand] = state.c.pointee.fdp
    for index in 0..<8 {
      let slot = Self.stackSlot(state, index)
      x[slot] = state.stack[index * 2]
      x[slot + 1] = state.stack[index * 2 + 1] & 0xffff
    }
  }

  /// The slot of the register that is ST(index) in a state.
  static func stackSlot(_ state: X86State, _ index: Int) -> Int {
    Registers.x87 + ((Int(state.c.pointee.fsw >> 11) + index) & 7) * 2
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
        // Which of its many accesses to a page comes first is the processor's affair.
        let far = (exception.address >> 12) &- (instance.c.pointee.cr2 >> 12) &+ 1
        if !Encodings.allRows[one.row].hasImage || far & (.max >> 12) > 2 {
          expect("cr2", exception.address, instance.c.pointee.cr2)
        } else if far != 1 {
          host = exception.errorCode
        }
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
      if Encodings.allRows[one.row].isApproximation(
        x[Registers.vector + index], after.vectors[index])
      {
        continue
      }
      expect(
        "ymm\(index / 4)[\(index % 4)]", x[Registers.vector + index], after.vectors[index])
    }
    expect("mxcsr", x[Registers.mxcsr], UInt64(after.c.pointee.mxcsr))
    checkStack(one, after, expect)
    if let wrong = checkMemory(one, instance, data) { complaints.append(wrong) }
    return complaints.isEmpty ? nil : complaints.joined(separator: "\n  ")
  }

  private func checkStack(
    _ one: X86Case, _ after: X86State,
    _ expect: (@autoclosure () -> String, UInt64, UInt64) -> Void
  ) {
    let x = hart.x
    expect("fcw", x[Registers.fpControl], UInt64(after.c.pointee.fcw))
    let told = ~Encodings.allRows[one.row].undefinedCodes
    expect("fsw", x[Registers.fpStatus] & told, UInt64(after.c.pointee.fsw) & told)
    let used = (0..<8).reduce(UInt64(0)) {
      $0 | (x[Registers.fpTag] >> UInt64($1 * 2) & 3 == 3 ? 0 : 1 << UInt64($1))
    }
    expect("ftw", used, UInt64(after.c.pointee.ftw))
    // Otherwise the host does not tell.
    if after.c.pointee.fsw & 0x80 != 0 {
      expect("fop", x[Registers.fpOpcode], UInt64(after.c.pointee.fop))
      // AMD keeps 57 bits.
      let kept: UInt64 = .max >> 7
      expect("fip", x[Registers.fpInstruction] & kept, after.c.pointee.fip & kept)
      expect("fdp", x[Registers.fpOperand] & kept, after.c.pointee.fdp & kept)
    }
    for index in 0..<8 {
      let slot = Self.stackSlot(after, index)
      let here = Extended(
        significand: x[slot], signExponent: UInt16(truncatingIfNeeded: x[slot + 1]))
      let host = Extended(
        significand: after.stack[index * 2],
        signExponent: UInt16(truncatingIfNeeded: after.stack[index * 2 + 1]))
      if index < 2, Encodings.allRows[one.row].isNear(here, host) { continue }
      expect("st(\(index))", here.significand, host.significand)
      expect("st(\(index)).exponent", UInt64(here.signExponent), UInt64(host.signExponent))
    }
  }

  private func checkMemory(
    _ one: X86Case, _ instance: X86Instance, _ data: UnsafeRawPointer
  ) -> String? {
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
        // AMD's mask of MXCSR has bit 17.
        if Encodings.allRows[one.row].savesState, at & 15 == 14, ours == 0, theirs == 2 { continue }
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
