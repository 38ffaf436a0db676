import GuestKernel

/// Where in the kernel a probe goes.
public enum KernelPlace: Sendable, Equatable {
  /// A symbol, and bytes from its start.
  case symbol(String, offset: UInt64 = 0)
  /// An address.
  case address(UInt64)
}

/// What to register with ``ProbeSubsystem/registerKprobe(_:)``.
public struct KprobeRequest {
  /// Where.
  public var place: KernelPlace
  /// Runs before the instruction; what it returns has no effect where the probe is a jump
  /// (``ProbeSubsystem/optimisesKprobes``).
  public var pre: ((ProbeContext) -> ProbeAction)?
  /// Runs after it.
  public var post: ((ProbeContext) -> Void)?
  /// Runs when it faults, with the address of the access: `true` has it tried again.
  ///
  /// Deviation: Linux has had no such handler since 5.14.
  public var fault: ((ProbeContext, UInt64) -> Bool)?
  /// Registered but not enabled (`KPROBE_FLAG_DISABLED`).
  public var isDisabled = false

  /// A probe at `place`.
  public init(
    _ place: KernelPlace, pre: ((ProbeContext) -> ProbeAction)? = nil,
    post: ((ProbeContext) -> Void)? = nil, fault: ((ProbeContext, UInt64) -> Bool)? = nil
  ) {
    self.place = place
    self.pre = pre
    self.post = post
    self.fault = fault
  }
}

/// A registered kernel probe (`struct kprobe`).
public final class Kprobe {
  /// The probed address.
  public let address: UInt64
  /// The function that it lies in.
  public let symbol: String
  /// Bytes from the function's start.
  public let offset: UInt64
  /// How often it hit.
  @exclusivity(unchecked) public internal(set) var hits: UInt64 = 0
  /// How often it was missed, because another probe was being served.
  @exclusivity(unchecked) public internal(set) var nmissed: UInt64 = 0
  /// Whether its handlers run.
  @exclusivity(unchecked) public internal(set) var isEnabled: Bool
  /// Whether it is registered.
  @exclusivity(unchecked) public internal(set) var isRegistered = true

  let pre: ((ProbeContext) -> ProbeAction)?
  let post: ((ProbeContext) -> Void)?
  let fault: ((ProbeContext, UInt64) -> Bool)?

  init(_ request: KprobeRequest, address: UInt64, symbol: String, offset: UInt64) {
    self.address = address
    self.symbol = symbol
    self.offset = offset
    isEnabled = !request.isDisabled
    pre = request.pre
    post = request.post
    fault = request.fault
  }
}

/// What to register with ``ProbeSubsystem/registerKretprobe(_:)``.
public struct KretprobeRequest {
  /// The entry of a function.
  public var place: KernelPlace
  /// How many calls may be under way at once; 0 or less: 10, or twice the harts if that is more.
  public var maxactive: Int
  /// Runs at the entry: `false` has the call's return not probed.
  public var entry: ((ProbeContext) -> Bool)?
  /// Runs at the return, with pc where the function returns to.
  public var ret: ((ProbeContext) -> Void)?
  /// Registered but not enabled.
  public var isDisabled = false

  /// A return probe on the function at `place`.
  public init(
    _ place: KernelPlace, maxactive: Int = 0, entry: ((ProbeContext) -> Bool)? = nil,
    ret: ((ProbeContext) -> Void)? = nil
  ) {
    self.place = place
    self.maxactive = maxactive
    self.entry = entry
    self.ret = ret
  }
}

/// A registered return probe of the kernel (`struct kretprobe`).
public final class Kretprobe {
  /// The probe at the function's entry.
  public internal(set) var kprobe: Kprobe
  /// How many calls may be under way at once.
  public let maxactive: Int
  /// Returns that it saw.
  @exclusivity(unchecked) public internal(set) var hits: UInt64 = 0
  /// Calls that it missed, because `maxactive` were under way.
  public internal(set) var nmissed: UInt64 = 0
  /// Calls under way.
  @exclusivity(unchecked) public internal(set) var active = 0
  /// Whether its handlers run.
  public var isEnabled: Bool { kprobe.isEnabled }

  let entry: ((ProbeContext) -> Bool)?
  let ret: ((ProbeContext) -> Void)?

  init(_ request: KretprobeRequest, kprobe: Kprobe, maxactive: Int) {
    self.kprobe = kprobe
    self.maxactive = maxactive
    entry = request.entry
    ret = request.ret
  }
}
