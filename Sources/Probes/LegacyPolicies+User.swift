// Mistakes with programs' probes: bits 32 to 63.
//
// Each says which scenario shows it; what the seed systems do is in the survey that the rows come
// from.

extension LegacyPolicies {
  /// Processes and mappings that come after the registration are not looked at: a child has the
  /// breaks and nobody who knows of them (U06, U09).
  public static let processesAreNotFollowed = LegacyPolicies(rawValue: 1 << 32)
  /// A place is looked for at the first mapping's start plus its offset in the file, whatever part
  /// of the file is mapped there (U08).
  public static let segmentOffsetIgnored = LegacyPolicies(rawValue: 1 << 33)
  /// The table of probes is the first program's: breaks go into other processes all the same (U07).
  public static let probesOfOneProcess = LegacyPolicies(rawValue: 1 << 34)
  /// An instruction is copied from the process, as zeros where its page is not present (U13).
  public static let absentTextIsZeros = LegacyPolicies(rawValue: 1 << 35)
  /// The whole instruction is put back through the frame of its first byte (U14).
  public static let restoresThroughOneFrame = LegacyPolicies(rawValue: 1 << 36)
  /// A break is written into the frame that is there, whoever else has it (U01).
  public static let writesSharedFrames = LegacyPolicies(rawValue: 1 << 37)
  /// A probe knows the end of one slot only: two first hits at once make two (U15).
  public static let oneSlotEndPerProbe = LegacyPolicies(rawValue: 1 << 38)
  /// Signals come, and faults are reported, while a slot runs (U49).
  public static let slotsAreVisible = LegacyPolicies(rawValue: 1 << 39)
  /// Slots may be read and written by the program (U51).
  public static let slotsAreWritable = LegacyPolicies(rawValue: 1 << 40)
  /// At a return handlers are not given the stack pointer and the pc (U52).
  public static let returnRegsAreIncomplete = LegacyPolicies(rawValue: 1 << 41)
  /// The first instruction of a function is taken for one that makes its frame, and left out where
  /// it makes none (U79).
  public static let skipsEntryInsns = LegacyPolicies(rawValue: 1 << 42)
  /// Awaited returns are a stack that is never compared with the program's (U86).
  public static let returnsAreLIFO = LegacyPolicies(rawValue: 1 << 43)
  /// Reference counters are not counted (U87).
  public static let noReferenceCounters = LegacyPolicies(rawValue: 1 << 44)
  /// Neither handlers, offsets nor instructions are checked at registration (U88).
  public static let noRegistrationChecks = LegacyPolicies(rawValue: 1 << 45)
  /// A break that is in no table is the program's own, even where none is left in memory (U47, M04).
  public static let tableDecidesAlone = LegacyPolicies(rawValue: 1 << 46)
  /// An instruction's copy is its bytes, relative to RIP or not; the kernel's too (U34).
  public static let copiesAreVerbatim = LegacyPolicies(rawValue: 1 << 47)
  /// A return address that was pushed in a slot is the slot's (U35).
  public static let pushedAddressStays = LegacyPolicies(rawValue: 1 << 48)
  /// The trap flag is cleared behind a step, whoever had set it, and nobody else hears of the step
  /// (U50).
  public static let stepsAreForgotten = LegacyPolicies(rawValue: 1 << 49)
}
