import GuestKernel

/// Which file a probe is in.
public enum ProbedFile {
  /// An absolute path in the guest.
  case path(String)
  /// The file itself.
  case inode(Inode)
}

/// What to register with ``ProbeSubsystem/registerUprobe(_:)``.
public struct UprobeRequest {
  /// The file.
  public var file: ProbedFile
  /// Bytes from the file's start.
  public var offset: UInt64
  /// Where in the file a 16-bit counter says how many probes of this kind there are; 0: none.
  public var referenceCounter: UInt64 = 0
  /// Runs before the instruction (`handler`).
  public var entry: ((ProbeContext) -> ProbeAction)?
  /// Runs when the function that starts here returns (`ret_handler`).
  public var ret: ((ProbeContext) -> Void)?
  /// Whether processes with this memory are to be probed; asked when the probe is registered and
  /// when the file is mapped.
  public var filter: ((AddressSpace) -> Bool)?
  /// Registered but not enabled.
  public var isDisabled = false

  /// A probe at an offset of a file.
  public init(
    _ file: ProbedFile, offset: UInt64, entry: ((ProbeContext) -> ProbeAction)? = nil,
    ret: ((ProbeContext) -> Void)? = nil
  ) {
    self.file = file
    self.offset = offset
    self.entry = entry
    self.ret = ret
  }
}

/// A registered probe of a program: what Linux calls a consumer of a uprobe.
public final class Uprobe {
  /// The file.
  ///
  /// A restored snapshot has new files: then it is that one's.
  public internal(set) var inode: Inode
  /// Bytes from the file's start.
  public let offset: UInt64
  /// Hits of the entry; for a return probe, returns that it saw.
  ///
  /// Deviation: Linux's `uprobe_profile` counts a return probe at the entry, seen or missed.
  @exclusivity(unchecked) public internal(set) var hits: UInt64 = 0
  /// Returns that were not seen: too many calls under way, or no room for the trampoline.
  public internal(set) var nmissed: UInt64 = 0
  /// Whether its handlers run.
  @exclusivity(unchecked) public internal(set) var isEnabled: Bool
  /// Whether it is registered.
  @exclusivity(unchecked) public internal(set) var isRegistered = true

  let entry: ((ProbeContext) -> ProbeAction)?
  let ret: ((ProbeContext) -> Void)?
  let filter: ((AddressSpace) -> Bool)?

  init(_ request: UprobeRequest, inode: Inode) {
    self.inode = inode
    offset = request.offset
    entry = request.entry
    ret = request.ret
    filter = request.filter
    isEnabled = !request.isDisabled
  }
}
