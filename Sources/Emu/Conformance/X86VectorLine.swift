import CHostX86
import Foundation
import X86

/// An instance as a line of a vector file: what the host made of it.
enum X86VectorLine {
  static func text(
    _ one: X86Case, _ instance: X86Instance, _ data: UnsafeRawPointer
  ) -> String {
    let before = instance.before
    let after = instance.after
    let pc = before.c.pointee.rip
    let bytes = instance.code.map { String(format: "%02x", $0) }.joined(separator: " ")
    var words: [String] = []
    for register in 0..<16 where before.gpr[register] != X86Generator.filler(register) {
      words.append("\(name(register))=\(hex(before.gpr[register]))")
    }
    words.append("flags=\(hex(before.c.pointee.rflags & ~0x302))")
    if before.c.pointee.fsbase != 0 { words.append("fs=\(hex(before.c.pointee.fsbase))") }
    if before.c.pointee.gsbase != 0 { words.append("gs=\(hex(before.c.pointee.gsbase))") }
    if before.c.pointee.mxcsr != 0x1f80 {
      words.append("mxcsr=\(hex(UInt64(before.c.pointee.mxcsr)))")
    }
    for word in 0..<64 where before.vectors[word] != X86Generator.filler(64 + word / 4) {
      words.append("v\(word / 4).\(word % 4)=\(hex(before.vectors[word]))")
    }
    if Encodings.allRows[one.row].usesStack { words += stack(before, than: nil) }
    words.append("=>")
    for register in 0..<16 where after.gpr[register] != before.gpr[register] {
      words.append("\(name(register))=\(hex(after.gpr[register]))")
    }
    let vector = instance.c.pointee.vector
    if vector == 1 {
      let known = ~(one.undefinedFlags | 0x10302)
      words.append("flags=\(hex(after.c.pointee.rflags & known))")
      if one.undefinedFlags != 0 { words.append("undefined=\(hex(one.undefinedFlags))") }
    } else {
      words.append("trap=\(vector)")
      if vector >= 10, vector != 16, vector != 19 {
        var error = UInt64(instance.c.pointee.errorCode)
        // Whether the host's kernel has something there is not the instruction's affair.
        if vector == 14, instance.c.pointee.cr2 >= 0x7fff_ffff_f000 { error &= ~1 }
        words.append("error=\(hex(error))")
      }
      if vector == 14 { words.append("cr2=\(hex(instance.c.pointee.cr2))") }
    }
    if after.c.pointee.rip != pc { words.append("pc=\(hex(after.c.pointee.rip))") }
    if after.c.pointee.fsbase != before.c.pointee.fsbase {
      words.append("fs=\(hex(after.c.pointee.fsbase))")
    }
    if after.c.pointee.gsbase != before.c.pointee.gsbase {
      words.append("gs=\(hex(after.c.pointee.gsbase))")
    }
    if after.c.pointee.mxcsr != before.c.pointee.mxcsr {
      words.append("mxcsr=\(hex(UInt64(after.c.pointee.mxcsr)))")
    }
    for word in 0..<64 where after.vectors[word] != before.vectors[word] {
      words.append("v\(word / 4).\(word % 4)=\(hex(after.vectors[word]))")
    }
    if Encodings.allRows[one.row].usesStack { words += stack(after, than: before) }
    words += memory(instance, data)
    let disassembly = Disassembler.text(one.insn, pc: pc)
    return "\(hex(pc)) [\(bytes)] \"\(disassembly)\" " + words.joined(separator: " ")
  }

  /// The x87 unit's words, and registers by stack position; afterwards what has changed.
  private static func stack(_ state: X86State, than old: X86State?) -> [String] {
    let (c, o) = (state.c.pointee, old?.c.pointee)
    var words: [String] = []
    func add(_ name: String, _ value: UInt64, _ before: UInt64?, _ usual: UInt64) {
      if value != before ?? usual { words.append("\(name)=\(hex(value))") }
    }
    add("fcw", UInt64(c.fcw), o.map { UInt64($0.fcw) }, 0x37f)
    add("fsw", UInt64(c.fsw), o.map { UInt64($0.fsw) }, 0)
    add("ftw", UInt64(c.ftw), o.map { UInt64($0.ftw) }, 0)
    if c.fsw & 0x80 != 0 {
      add("fop", UInt64(c.fop), o.map { UInt64($0.fop) }, 0)
      add("fip", c.fip, o?.fip, 0)
      add("fdp", c.fdp, o?.fdp, 0)
    }
    for word in 0..<16 {
      add("st\(word / 2).\(word % 2)", state.stack[word], old?.stack[word], 0)
    }
    return words
  }

  private static func name(_ register: Int) -> String {
    Registers.name(UInt8(register), size: 8, rex: true)
  }

  /// The bytes that changed, a word for every run of them.
  private static func memory(_ instance: X86Instance, _ data: UnsafeRawPointer) -> [String] {
    var words: [String] = []
    for index in 0..<Int(instance.c.pointee.lines) {
      let line = instance.line(index) * 64
      let bytes = instance.lineBytes(index)
      var run = ""
      var start = 0
      for at in 0...64 {
        let new = at < 64 ? bytes.load(fromByteOffset: at, as: UInt8.self) : 0
        if at < 64, new != data.load(fromByteOffset: line + at, as: UInt8.self) {
          if run.isEmpty { start = at }
          run += String(format: "%02x", new)
        } else if !run.isEmpty {
          words.append("m[\(hex(X86Generator.dataStart + UInt64(line + start)))]=\(run)")
          run = ""
        }
      }
    }
    return words
  }
}
