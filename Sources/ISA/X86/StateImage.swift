import Engine

/// State components in memory: the images of FXSAVE and XSAVE.
///
/// - SeeAlso: Intel SDM volume 1, 'Managing State Using the XSAVE Feature Set'; volume 2, 'FXSAVE -
///   Save x87 FPU, MMX Technology, and SSE State'.
enum StateImage {
  static let x87: UInt64 = 1, sse: UInt64 = 2, avx: UInt64 = 4
  /// What XCR0 may hold.
  static let all = x87 | sse | avx
  /// What FXSAVE writes.
  static let legacy = x87 | sse
  /// What XCR0 must have for VEX-encoded vectors.
  static let enabledAVX = sse | avx
  /// Bytes of the legacy region, of the header behind it, and of all.
  static let legacySize: UInt64 = 512, headerSize: UInt64 = 64, size: UInt64 = 832
  /// Where the upper halves of the vectors stand.
  static let upperOffset: UInt64 = 576
  /// The bits of MXCSR that may be set.
  static let controlMask: UInt64 = 0xffff

  /// The bytes of an image with these components.
  static func size(of components: UInt64) -> UInt64 {
    components & avx != 0 ? size : upperOffset
  }

  /// Whether an image may start here; else the fault is pending.
  static func isAligned(_ x: Slots, _ at: UInt64, _ mask: UInt64, _ stack: UInt8) -> Bool {
    let isCanonical = X64.isCanonical(at, x)
    if isCanonical && at & mask == 0 { return true }
    // Of XSAVE's 64 bytes the alignment is looked at first.
    let isStackFault = !isCanonical && stack != 0 && (mask == 15 || at & mask == 0)
    X64.raise(x, isStackFault ? 12 : 13)
    return false
  }

  /// Components that are not as they are after initialisation.
  static func inUse(_ x: Slots) -> UInt64 {
    var components: UInt64 = 0
    let isInitial =
      x[Registers.fpControl] == 0x37f && x[Registers.fpStatus] == 0
      && x[Registers.fpTag] == 0xffff && x[Registers.fpOpcode] == 0
      && x[Registers.fpInstruction] == 0 && x[Registers.fpOperand] == 0
      && (0..<16).allSatisfy { x[Registers.x87 &+ $0] == 0 }
    if !isInitial { components |= x87 }
    for word in 0..<64 where x[Registers.vector &+ word] != 0 {
      components |= word & 2 == 0 ? sse : avx
    }
    if x[Registers.mxcsr] != 0x1f80 { components |= sse }
    return components
  }

  /// Writes components of the registers, `wide` with 64-bit pointers.
  static func save(_ x: Slots, _ components: UInt64, wide: Bool, to image: inout some ImageMemory) {
    if components & x87 != 0 {
      let used = (0..<8).reduce(UInt64(0)) {
        $0 | (X87.isEmpty(x, $1) ? 0 : 1 &<< UInt64($1))
      }
      image[0] =
        x[Registers.fpControl] | x[Registers.fpStatus] &<< 16 | used &<< 32
        | x[Registers.fpOpcode] &<< 48
      // Without the segments, which are no longer told.
      let keep: UInt64 = wide ? .max : 0xffff_ffff
      image[8] = x[Registers.fpInstruction] & keep
      image[16] = x[Registers.fpOperand] & keep
      let fpu = X87(x)
      for index in 0..<8 {
        let value = fpu[index]
        image[32 &+ UInt64(index) &* 16] = value.significand
        image[40 &+ UInt64(index) &* 16] = UInt64(value.signExponent)
      }
    }
    if components & (sse | avx) != 0 { saveControl(x, to: &image) }
    for word in 0..<64 where components & component(ofWord: word) != 0 {
      image[offset(ofWord: word)] = x[Registers.vector &+ word]
    }
  }

  /// Writes MXCSR and its mask.
  static func saveControl(_ x: Slots, to image: inout some ImageMemory) {
    image[24] = x[Registers.mxcsr] | controlMask &<< 32
  }

  /// Whether a header is one of the standard form with no other components than these; else XRSTOR is
  /// #GP.
  static func hasSoundHeader(_ image: some ImageMemory, _ components: UInt64) -> Bool {
    image[legacySize] & ~components == 0 && image[legacySize &+ 8] == 0
      && image[legacySize &+ 16] == 0
  }

  /// Whether no reserved bit of MXCSR is set; else a load is #GP.
  static func isSound(_ image: some ImageMemory) -> Bool {
    image[24] & 0xffff_ffff & ~controlMask == 0
  }

  /// Reads MXCSR where it is sound.
  static func restoreControl(_ x: Slots, from image: some ImageMemory) -> Bool {
    guard isSound(image) else { return false }
    x[Registers.mxcsr] = image[24] & 0xffff_ffff
    return true
  }

  /// Words 0 and 1 of four are of the lower half of a vector register.
  private static func component(ofWord word: Int) -> UInt64 { word & 2 == 0 ? sse : avx }

  /// Where word `word` of the vector registers stands.
  private static func offset(ofWord word: Int) -> UInt64 {
    (word & 2 == 0 ? 160 : upperOffset) &+ UInt64(word / 4 &* 16) &+ UInt64(word & 1) &* 8
  }

  /// Reads components into the registers, MXCSR aside.
  static func restore(_ x: Slots, _ components: UInt64, wide: Bool, from image: some ImageMemory) {
    if components & x87 != 0 {
      let words = image[0]
      X87.setControl(x, words & 0xffff)
      X87.setStatus(x, (words &>> 16) & 0xffff)
      x[Registers.fpTag] = (0..<8).reduce(0) {
        $0 | ((words &>> UInt64(32 &+ $1)) & 1 == 0 ? 3 &<< UInt64($1 &* 2) : 0)
      }
      x[Registers.fpOpcode] = (words &>> 48) & 0x7ff
      let keep: UInt64 = wide ? .max : 0xffff_ffff
      x[Registers.fpInstruction] = image[8] & keep
      x[Registers.fpOperand] = image[16] & keep
      let fpu = X87(x)
      for index in 0..<8 {
        fpu[raw: index] = Extended(
          significand: image[32 &+ UInt64(index) &* 16],
          signExponent: UInt16(truncatingIfNeeded: image[40 &+ UInt64(index) &* 16]))
      }
    }
    for word in 0..<64 where components & component(ofWord: word) != 0 {
      x[Registers.vector &+ word] = image[offset(ofWord: word)]
    }
  }

  /// Gives components their values after initialisation.
  static func initialize(_ x: Slots, _ components: UInt64) {
    if components & x87 != 0 {
      X87.initialize(x)
      for slot in 0..<16 { x[Registers.x87 &+ slot] = 0 }
    }
    for word in 0..<64 where components & component(ofWord: word) != 0 {
      x[Registers.vector &+ word] = 0
    }
  }

  /// The registers of a new program.
  ///
  /// - SeeAlso: Linux, `arch/x86/kernel/fpu/core.c`, `fpstate_reset`.
  static func reset(_ x: Slots) {
    initialize(x, all)
    x[Registers.mxcsr] = 0x1f80
  }
}

/// Where an image stands: 64-bit words by their offsets.
protocol ImageMemory {
  subscript(_ offset: UInt64) -> UInt64 { get set }
}

/// An image in a program's memory of which every byte can be accessed.
private struct ProgramImage: ImageMemory {
  let hart: Hart
  let at: UInt64

  subscript(_ offset: UInt64) -> UInt64 {
    get { hart.observedLoad(at &+ offset, 8) }
    nonmutating set { hart.observedStore(at &+ offset, 8, newValue) }
  }
}

/// An image that a kernel keeps.
struct KernelImage: ImageMemory {
  var bytes: [UInt8]

  subscript(_ offset: UInt64) -> UInt64 {
    get { bytes.load64(Int(offset)) }
    set { bytes.store64(Int(offset), newValue) }
  }
}

/// FXSAVE at the address in `a`, `c` through the stack segment, `d` with 64-bit pointers.
let saveLegacyState: Helper = { x, raw in
  let op = raw.op
  let at = x[Int(op.a)]
  guard StateImage.isAligned(x, at, 15, op.c) else { return }
  Hart.of(x)._withUnsafeGuaranteedRef { hart in
    guard hart.canStore(x, at, StateImage.legacySize, stack: op.c) else { return }
    var image = ProgramImage(hart: hart, at: at)
    StateImage.save(x, StateImage.legacy, wide: op.d != 0, to: &image)
  }
}

/// FXRSTOR, the opposite.
let restoreLegacyState: Helper = { x, raw in
  let op = raw.op
  let at = x[Int(op.a)]
  guard StateImage.isAligned(x, at, 15, op.c) else { return }
  Hart.of(x)._withUnsafeGuaranteedRef { hart in
    guard hart.canLoad(x, at, StateImage.legacySize, stack: op.c) else { return }
    let image = ProgramImage(hart: hart, at: at)
    guard StateImage.restoreControl(x, from: image) else { return X64.raise(x, 13) }
    StateImage.restore(x, StateImage.legacy, wide: op.d != 0, from: image)
  }
}

/// The enabled components that EDX:EAX asks for.
private func requested(_ x: Slots) -> UInt64 {
  (x[Int(Lift.rax)] & 0xffff_ffff | x[Int(Lift.rdx)] &<< 32) & x[SystemSlot.xcr0]
}

/// XSAVE, and with bit 1 of `d` XSAVEOPT, which leaves out what is initial; bit 0 as for FXSAVE.
///
/// - SeeAlso: Intel SDM volume 2, 'XSAVE - Save Processor Extended States' and 'XSAVEOPT'.
let saveState: Helper = { x, raw in
  let op = raw.op
  let at = x[Int(op.a)]
  guard StateImage.isAligned(x, at, 63, op.c) else { return }
  let asked = requested(x)
  let used = StateImage.inUse(x) & asked
  Hart.of(x)._withUnsafeGuaranteedRef { hart in
    let written = op.d & 2 != 0 ? used : asked
    let size = StateImage.size(of: written)
    guard hart.canStore(x, at, size, stack: op.c) else { return }
    var image = ProgramImage(hart: hart, at: at)
    StateImage.save(x, written, wide: op.d & 1 != 0, to: &image)
    if asked & (StateImage.sse | StateImage.avx) != 0, written & ~StateImage.x87 == 0 {
      StateImage.saveControl(x, to: &image)
    }
    image[StateImage.legacySize] = image[StateImage.legacySize] & ~asked | used
  }
}

/// XRSTOR of the standard form.
///
/// - SeeAlso: Intel SDM volume 2, 'XRSTOR - Restore Processor Extended States'.
let restoreState: Helper = { x, raw in
  let op = raw.op
  let at = x[Int(op.a)]
  guard StateImage.isAligned(x, at, 63, op.c) else { return }
  let asked = requested(x)
  Hart.of(x)._withUnsafeGuaranteedRef { hart in
    guard hart.canLoad(x, at, StateImage.upperOffset, stack: op.c) else { return }
    let image = ProgramImage(hart: hart, at: at)
    let present = image[StateImage.legacySize]
    let size = StateImage.size(of: asked & present)
    guard hart.canLoad(x, at, size, stack: op.c) else { return }
    // No compaction, no component that is off.
    guard StateImage.hasSoundHeader(image, x[SystemSlot.xcr0]) else { return X64.raise(x, 13) }
    if asked & (StateImage.sse | StateImage.avx) != 0 {
      guard StateImage.restoreControl(x, from: image) else { return X64.raise(x, 13) }
    }
    StateImage.restore(x, asked & present, wide: op.d != 0, from: image)
    StateImage.initialize(x, asked & ~present)
  }
}

extension Lift {
  /// - Returns: whether the instruction is one that saves or restores state.
  mutating func stateInstruction() -> Bool {
    let wide: UInt8 = i.prefixes.contains(.wide) ? 1 : 0
    switch i.op {
    case .fxsave: image(saveLegacyState, d: wide)
    case .fxrstor: image(restoreLegacyState, d: wide)
    case .xsave: image(saveState, d: wide)
    case .xsaveopt: image(saveState, d: wide | 2)
    case .xrstor: image(restoreState, d: wide)
    default: return false
    }
    return true
  }
}
