/// What an access is for.
public enum Access: UInt8, Sendable {
  /// A data read.
  case load
  /// A data write, or a read that will be followed by one.
  case store
  /// An instruction fetch.
  case fetch
}

/// Where a page of virtual addresses leads, and what may be done there in the present mode.
public struct Translation: Sendable {
  /// The physical address of the byte asked for.
  public var pa: UInt64
  /// Loads are allowed.
  public var readable: Bool
  /// Stores are allowed, and nothing remains to be recorded when one happens.
  public var writable: Bool
  /// Fetches are allowed.
  public var executable: Bool
  /// The answer holds for the whole page.
  public var wholePage: Bool

  /// A translation with the given parts.
  public init(
    pa: UInt64, readable: Bool, writable: Bool, executable: Bool, wholePage: Bool = true
  ) {
    self.pa = pa
    self.readable = readable
    self.writable = writable
    self.executable = executable
    self.wholePage = wholePage
  }
}

/// As what a hart reads code, where its instruction set has more than one way: 0 is that of programs.
///
/// Below 16.
public typealias CodeKind = UInt8

/// What the engine asks of an instruction set.
///
/// Everything here is cold: it is called when a block is translated, a TLB entry is missing or a
/// trap is taken, never per instruction.
public protocol GuestISA: AnyObject {
  /// Lifts instructions from `builder.pc` on until the builder is full or the block ends.
  func translate(_ builder: BlockBuilder, for hart: Hart)
  /// Walks the guest's page tables for `va` in the present mode.
  ///
  /// - Returns: `nil` with the exception pending where the access faults.
  func walk(_ va: UInt64, _ access: Access, for hart: Hart) -> Translation?
  /// Whether all bytes of an access may be touched, where ``walk(_:_:for:)`` said that its answer
  /// does not hold for the whole page. Makes the exception pending where not.
  func allows(
    _ pa: UInt64, _ size: UInt64, _ va: UInt64, _ access: Access, for hart: Hart
  ) -> Bool
  /// Makes the exception for an access to a physical address where nothing answers pending.
  func accessFault(_ va: UInt64, _ access: Access, for hart: Hart)
  /// Takes the pending exception: enters the guest's own vector.
  func takeException(_ hart: Hart)
  /// Takes the most urgent interrupt that can be taken now.
  ///
  /// - Returns: whether one was taken.
  func takeInterrupt(_ hart: Hart) -> Bool
  /// Whether an interrupt is pending that ends a wait, though it may not be taken.
  func wakes(_ hart: Hart) -> Bool
  /// An instruction that began while ``Slot/single`` was `reasons`, not zero, has completed.
  func completedSingle(_ reasons: UInt64, for hart: Hart)
  /// Whether instruction fetch sees stores without maintenance, however caches are modelled.
  var fetchIsCoherent: Bool { get }
  /// What floating-point helpers do, as far as host code can do the same.
  var nativeFloat: [(helper: Helper, float: NativeFloat)] { get }
  /// What other helpers do, as far as host code can do the same.
  var nativeHelpers: [(helper: Helper, native: NativeHelper)] { get }
  /// The slot of a register that is as the host's MXCSR, if there is one: vectors of 16 bytes then lie in
  /// slots 128 to 191, four for each, and in the pair of slots from ``Slot/temp`` + 8 on.
  var floatControl: UInt8? { get }
  /// As what the hart reads code now.
  func codeKind(_ hart: Hart) -> CodeKind
  /// Whether its lifts make micro-ops that set condition codes.
  var hasConditionCodes: Bool { get }
  /// Whether the JIT has host code for enough of what it lifts to be faster than the interpreter.
  var gainsByCompilation: Bool { get }
  /// Saves or restores what it knows of the hart and the hart's slots do not say, such as an
  /// architectural TLB.
  func archive(_ archive: Archive, for hart: Hart)
  /// The hart's slots were restored: makes what is derived from them anew, the mode first of all.
  func restored(_ hart: Hart)
}

extension GuestISA {
  /// Only where caches are modelled as coherent.
  public var fetchIsCoherent: Bool { false }
  /// Nothing.
  public func completedSingle(_ reasons: UInt64, for hart: Hart) {}
  /// None.
  public var nativeFloat: [(helper: Helper, float: NativeFloat)] { [] }
  /// None.
  public var nativeHelpers: [(helper: Helper, native: NativeHelper)] { [] }
  /// None.
  public var floatControl: UInt8? { nil }
  /// There is one kind.
  public func codeKind(_ hart: Hart) -> CodeKind { 0 }
  /// They don't.
  public var hasConditionCodes: Bool { false }
  /// It has.
  public var gainsByCompilation: Bool { true }
  /// The slots say everything.
  public func archive(_ archive: Archive, for hart: Hart) {}
}

/// What serves a hart's calls to its environment: firmware or a kernel model.
public protocol HartEnvironment: AnyObject {
  /// Serves the call whose arguments are in the hart's registers.
  func call(from hart: Hart)
}

/// Sees every instruction just before it is executed.
///
/// Never changes what the guest sees.
public protocol InsnObserver: AnyObject {
  /// `pc` is about to be executed by `hart`; the hart's slots are exact.
  func willExecute(_ pc: UInt64, on hart: Hart)
  /// The instruction is about to access memory; it may yet fault.
  ///
  /// Called once for each access of an instruction, in the order in which they are made.
  func willAccess(_ va: UInt64, size: Int, isStore: Bool, on hart: Hart)
  /// Whether it wants to see the instruction at `pc`, asked when that is translated; whoever changes
  /// the answer calls ``Hart/forgetBlocks()``.
  func sees(_ pc: UInt64) -> Bool
}

extension InsnObserver {
  /// All.
  public func sees(_ pc: UInt64) -> Bool { true }
  /// Nothing.
  public func willAccess(_ va: UInt64, size: Int, isStore: Bool, on hart: Hart) {}
}
