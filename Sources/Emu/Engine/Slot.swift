/// Where things live in a hart's flat state array of 64-bit slots.
///
/// Micro-ops name the first 256 slots with one byte. Everything behind them is reached by helpers
/// only. A guest register file, its temporaries and its floating-point registers are therefore one
/// array, and a snapshot of a hart is one copy of it.
public enum Slot {
  /// Reads zero.
  ///
  /// Lifts never write it: they send such writes to `sink`.
  public static let zero = 0
  /// The first of sixteen temporaries.
  ///
  /// Dead at every instruction boundary.
  public static let temp = 32
  /// Takes results that nobody reads.
  public static let sink = 48
  /// The program counter.
  ///
  /// Exact whenever a helper marked `exit` runs and whenever the hart is stopped.
  public static let pc = 49
  /// The condition codes, lazily: how `flagA` and `flagB` are to be read, a ``FlagKind`` byte.
  public static let flagKind = 50
  /// First part of the condition codes.
  public static let flagA = 51
  /// Second part of the condition codes.
  public static let flagB = 52
  /// The first floating-point register.
  public static let fp = 64
  /// Floating-point exceptions accrued so far, in the order of ``FloatFlags``.
  public static let fpFlags = 96
  /// The dynamic rounding mode, numbered as ``RoundingMode``.
  public static let fpRounding = 97
  /// The first slot that an ISA names for itself and that micro-ops can reach.
  public static let isa = 98

  /// Why a micro-op stopped the block: a ``Pending`` raw value.
  public static let pending = 256
  /// ISA-defined number of the exception in flight.
  public static let cause = 257
  /// Its address or value.
  public static let tval = 258
  /// Instructions begun since reset, at the last block boundary (``Hart/count``).
  public static let count = 259
  /// Exceptions taken since reset.
  ///
  /// Instructions retired are `count - exceptions`.
  public static let exceptions = 260
  /// The count at which the present slice ends.
  public static let target = 261
  /// Budget left at the start of the block being run, less that block.
  ///
  /// Spilled by slow paths.
  public static let left = 262
  /// Address of the block being run.
  ///
  /// Spilled by slow paths.
  public static let block = 263
  /// Which of the hart's TLBs is in use.
  public static let mmuIndex = 264
  /// What a translation depends on besides pc and bytes: an ISA's own bits, below 2^16.
  public static let translationFlags = 265
  /// Non-zero when an interrupt may have become deliverable.
  public static let checkInterrupts = 266
  /// Retained address of the ``Hart``.
  public static let hart = 267
  /// Retained address of the ISA's own object.
  public static let isaObject = 268
  /// Address of the TLB in use; follows `mmuIndex`.
  public static let tlb = 269
  /// What jump-cache entries must carry to be valid now; follows flags, index and generation.
  public static let jumpTag = 270
  /// Address of the jump cache.
  public static let jumpCache = 271
  /// Address of the micro-op being run.
  ///
  /// Spilled with `left` and `block`.
  public static let op = 272
  /// How compiled code left: a ``Block`` way, or one of ``Stubs``' values; zero with something
  /// pending.
  static let exit = 274
  /// Physical address that a load-reserved reserved, or all ones.
  public static let reservation = 273
  /// What compiled loops must have remembered pages under for that to be valid now; follows the
  /// index of the TLB and every change of translations.
  static let pagesTag = 275
  /// Non-zero while the host's floating-point state collects the guest's exceptions, which implies
  /// that the guest rounds to nearest.
  static let floatLive = 276
  /// Address of the first block of a unit that is to be translated anew.
  static let stale = 277
  /// Non-zero where every instruction is to be looked at by itself
  /// (``GuestISA/completedSingle(_:for:)``): an ISA's own bits.
  public static let single = 278
  /// Address of the micro-op whose condition codes memory is to get (``StatusFlags/resolve(_:_:)``).
  static let flagSource = 279
  /// The operand of that micro-op that its result took the place of.
  static let flagOperand = 280
  /// Non-zero where the instruction set has condition codes: which of the interpreter's loops runs.
  static let conditionCodes = 281
  /// The first slot of an ISA's system registers.
  public static let system = 512
  /// Number of slots.
  public static let total = 1024
}

/// Why a block was left in its middle.
public enum Pending: UInt64, Sendable {
  /// Nothing is pending.
  case none = 0
  /// An exception: `cause` and `tval` say which. The instruction has no effect.
  case exception = 1
  /// Leave after this instruction and look around: translations, interrupts or mode may have changed.
  case reconsider = 2
  /// The hart asks its environment (firmware, hypervisor). The instruction has completed.
  case environment = 3
  /// The hart waits for an interrupt. The instruction has completed.
  case wait = 4
  /// The machine is to stop. The instruction has completed.
  case stop = 5
}
