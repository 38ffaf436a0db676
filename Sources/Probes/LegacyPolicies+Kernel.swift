// What other systems get wrong about kernel probes and their events; a name says what is done.
//
// - SeeAlso: `Docs/scenarios.md`, which says by which scenario each is shown

extension LegacyPolicies {
  // MARK: Registration

  /// The break is written first; slot and table follow after the next trap (U47).
  public static let publishedFirst = LegacyPolicies(rawValue: 1 << 1)
  /// A slot is given to the next probe at once, whoever still runs in it (U29, U47).
  public static let slotFreedAtOnce = LegacyPolicies(rawValue: 1 << 2)
  /// Pages of slots can be written by the guest (U51).
  public static let writableSlots = LegacyPolicies(rawValue: 1 << 3)
  /// Ranges and functions that take no probes are not known (U31).
  public static let noBlacklist = LegacyPolicies(rawValue: 1 << 4)
  /// Any address is taken for the beginning of an instruction (U32).
  public static let anyAddress = LegacyPolicies(rawValue: 1 << 5)
  /// No instruction is refused (U38).
  public static let anyInstruction = LegacyPolicies(rawValue: 1 << 6)
  /// Nothing is simulated: what depends on its own address runs in a slot too (U37).
  public static let everythingInSlot = LegacyPolicies(rawValue: 1 << 7)
  /// The break is the shortest one whatever it stands over (U39).
  public static let shortBreaks = LegacyPolicies(rawValue: 1 << 8)

  // MARK: Hits

  /// A hit is served whatever else is being served (U30).
  public static let noReentryGuard = LegacyPolicies(rawValue: 1 << 9)
  /// What a pre handler wants is not done (U25).
  public static let preResultIgnored = LegacyPolicies(rawValue: 1 << 10)
  /// A fault in a slot is left to the kernel, and no fault handler runs (U24, U49).
  public static let faultsInSlot = LegacyPolicies(rawValue: 1 << 11)
  /// Interrupts are taken in a slot (U49).
  public static let interruptsInSlot = LegacyPolicies(rawValue: 1 << 12)
  /// A break of the kernel that is nobody's is skipped, by two bytes whatever its length (U48).
  public static let unclaimedSkipsTwo = LegacyPolicies(rawValue: 1 << 13)

  // MARK: Returns

  /// The handlers of a return probe's request are lost (U22).
  public static let callbacksDropped = LegacyPolicies(rawValue: 1 << 14)
  /// A disabled return probe's handler still runs at the return (U23).
  public static let disabledStillReturns = LegacyPolicies(rawValue: 1 << 15)
  /// Calls are kept in one list, whatever stack they are on, as where a task is not known (U27).
  public static let callsShared = LegacyPolicies(rawValue: 1 << 16)
  /// At a return the handler sees zeros for what is no general register, and for sp (U52).
  public static let partialReturnFrame = LegacyPolicies(rawValue: 1 << 17)

  // MARK: Events

  /// The offset from the symbol is not looked at (U16).
  public static let eventOffsetIgnored = LegacyPolicies(rawValue: 1 << 18)
  /// An event that is asked for is not enabled (U18).
  public static let eventsStartDisabled = LegacyPolicies(rawValue: 1 << 19)
  /// Tasks and harts are not told apart (U19).
  public static let eventFiltersIgnored = LegacyPolicies(rawValue: 1 << 20)
  /// Every return probe of an event has room for ten calls (U20).
  public static let fixedMaxactive = LegacyPolicies(rawValue: 1 << 21)
  /// Programs and post handlers run before the pc is put right after the slot (U54).
  public static let programAfterStep = LegacyPolicies(rawValue: 1 << 22)
  /// What a program returns is not looked at (U55).
  public static let programResultIgnored = LegacyPolicies(rawValue: 1 << 23)
  /// Programs of any type are taken (U56).
  public static let programTypeUnchecked = LegacyPolicies(rawValue: 1 << 24)
}
