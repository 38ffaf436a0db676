import Engine

/// Virtual-8086 mode: code at privilege 3 whose segments are paragraphs, in protected mode.
///
/// Its extensions (VME) are not there.
///
/// - SeeAlso: Intel SDM volume 3, 'Virtual-8086 Mode'.
extension X64 {
  static func isVirtual(_ x: UnsafeMutablePointer<UInt64>) -> Bool {
    x[Registers.otherFlags] & RFlags.virtual != 0 && !isReal(x)
  }

  /// Whether selectors are numbers of paragraphs: in real and in virtual-8086 mode.
  static func hasParagraphs(_ x: UnsafeMutablePointer<UInt64>) -> Bool {
    isReal(x) || isVirtual(x)
  }

  /// Makes the selectors, ES first, those of virtual-8086 mode.
  func loadVirtual(_ selectors: [UInt64], _ hart: Hart) {
    for (register, selector) in selectors.enumerated() {
      Segment(selector: selector, rights: 0xf3, base: selector << 4, limit: 0xffff)
        .put(register, hart.x)
    }
    hart.x[SystemSlot.privilege] = 3
  }

  /// IRET of the kernel to virtual-8086 mode: what follows the flags is popped.
  ///
  /// - SeeAlso: Intel SDM volume 2, 'IRET/IRETD/IRETQ - Interrupt Return', 'Operation'
  ///   (RETURN-TO-VIRTUAL-8086-MODE).
  func returnToVirtual(
    _ target: UInt64, code: UInt64, flags: UInt64, _ frame: StackFrame, _ hart: Hart
  ) throws(Fault) {
    let x = hart.x
    var frame = frame
    let sp = try frame.pop(4, self, hart)
    // SS, ES, DS, FS and GS.
    var words: [UInt64] = []
    for _ in 0..<5 { words.append(try frame.pop(4, self, hart) & 0xffff) }
    guard target <= 0xffff else { throw .protection }
    loadVirtual([words[1], code, words[0], words[2], words[3], words[4]], hart)
    if x[Slot.single] & Self.resumed != 0 { x[SystemSlot.keepsResume] = 1 }
    RFlags.write(x, flags)
    x[Int(Lift.rsp)] = sp
    x[Slot.pc] = code << 4 &+ target
    x[Slot.checkInterrupts] = 1
    Self.updateMode(hart)
  }
}

/// #GP(0) in virtual-8086 mode where the I/O privilege is not 3.
///
/// - SeeAlso: Intel SDM volume 3, 'Sensitive Instructions' (of virtual-8086 mode).
let requireVirtualPrivilege: Helper = { x, _ in
  if !RFlags.mayUseIO(x) { X64.raise(x, 13) }
}
