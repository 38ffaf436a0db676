/// Where an instruction may lead besides to the one behind it.
public enum InsnFlow: Sendable, Equatable {
  /// Nowhere, or to where it comes back from.
  case next
  /// To one address.
  case jump(UInt64)
  /// To one that only running it tells.
  case anywhere
}

/// What must be known of an instruction set to make a kernel probe a jump instead of a break.
///
/// - SeeAlso: Linux, `arch/x86/kernel/kprobes/opt.c`
public protocol DetourISA: AnyObject {
  /// Bytes of the jump that takes an instruction's place.
  var jumpLength: Int { get }
  /// Bytes from one detour to the next.
  var detourSize: Int { get }
  /// Where an instruction may lead.
  func flow(_ bytes: [UInt8], at pc: UInt64) -> InsnFlow
  /// A copy of an instruction that does the same elsewhere, with nothing to be put right behind it;
  /// `nil` where there is none.
  func detachedCopy(_ insn: ProbedInsn, from va: UInt64, to: UInt64) -> [UInt8]?
  /// A jump from one address to another; `nil` where it is too far.
  func jump(from: UInt64, to: UInt64) -> [UInt8]?
  /// A call from one address of another; `nil` where it is too far.
  func call(from: UInt64, to: UInt64) -> [UInt8]?
  /// Makes a value the first argument of a call.
  func setFirstArgument(_ value: UInt64) -> [UInt8]
}
