"""Amazon EC2 and the services around it, on boto3."""

from __future__ import annotations

from kvirt.providers.aws.account import AwsOptions
from kvirt.providers.aws.buckets import Buckets
from kvirt.providers.aws.host import Host
from kvirt.providers.aws.loadbalancers import LoadBalancers
from kvirt.providers.aws.snapshots import Snapshots


class Kaws(Snapshots, LoadBalancers, Buckets, Host):
    """An account of AWS."""

    permissions = {
        'ec2:Describe*, ec2:GetConsoleOutput, sts:GetCallerIdentity': 'what is listed and shown',
        'pricing:GetProducts, servicequotas:ListServiceQuotas': 'prices and limits; without them these are not known',
        'ec2:RunInstances, ec2:TerminateInstances, ec2:StartInstances, ec2:StopInstances, ec2:RebootInstances, '
        'ec2:ModifyInstanceAttribute, ec2:CreateTags, ec2:DeleteTags': 'VMs, and the marks by which they are known',
        'ec2:CreateSecurityGroup, ec2:DeleteSecurityGroup, ec2:AuthorizeSecurityGroupIngress, '
        'ec2:RevokeSecurityGroupIngress': 'security groups; every VM needs them, since it gets one',
        'ec2:CreateVolume, ec2:DeleteVolume, ec2:AttachVolume, ec2:DetachVolume, ec2:ModifyVolume': 'disks',
        'ec2:CreateSnapshot, ec2:CreateSnapshots, ec2:DeleteSnapshot, ec2:CreateImage, ec2:RegisterImage, '
        'ec2:DeregisterImage, ebs:StartSnapshot, ebs:PutSnapshotBlock, ebs:CompleteSnapshot': 'snapshots and images',
        'ec2:CreateVpc, ec2:DeleteVpc, ec2:ModifyVpcAttribute, ec2:CreateSubnet, ec2:DeleteSubnet, '
        'ec2:ModifySubnetAttribute, ec2:*InternetGateway, ec2:CreateRoute, ec2:DeleteRoute, ec2:*RouteTable, '
        'ec2:*DhcpOptions': 'networks and subnets',
        'ec2:*NetworkInterface, ec2:ModifyNetworkInterfaceAttribute': 'further network cards',
        'ec2:AllocateAddress, ec2:ReleaseAddress, ec2:AssociateAddress, ec2:DisassociateAddress': 'floating addresses',
        'ec2:ImportKeyPair, ec2:DeleteKeyPair': 'keys',
        'elasticloadbalancing:*': 'load balancers',
        'route53:ListHostedZones, route53:ListResourceRecordSets, route53:ChangeResourceRecordSets': 'DNS',
        's3:ListAllMyBuckets, s3:ListBucket, s3:ListBucketVersions, s3:CreateBucket, s3:DeleteBucket, s3:GetObject, '
        's3:PutObject, s3:DeleteObject, s3:DeleteObjectVersion, s3:GetBucketTagging, s3:PutBucketTagging, '
        's3:GetBucketPolicy': 'buckets',
        's3:PutBucketPolicy, s3:PutObjectAcl, s3:PutBucketPublicAccessBlock, s3:PutBucketOwnershipControls':
            'buckets and files that everybody can read'}
    prices = 'The service of price lists tells them, for Linux on demand, in US dollars before taxes and discounts. They ' \
             'are kept for a week; when it can not be asked those that are kept serve on, with their date in the log. ' \
             'Spare capacity is asked for when a VM wants it. Traffic and public addresses come on top.'
    security = (
        'A security group denies all inbound traffic but ssh and the keyword ports, on every card of a VM; all may go out.',
        'A guest is told its metadata only when it asks with a token (IMDSv2), so that a web application that fetches any '
        'address can not be made to read them.',
        'What a guest is told at birth (its ssh host key, the contents of files) can be read by whoever may call '
        '`ec2:DescribeInstanceAttribute`; `kvirt update vm -P cloudinit=false` takes it away from a stopped VM.',
        'Buckets are private, and guarded against becoming public; --public opens that guard for the one bucket.')


__all__ = ['AwsOptions', 'Kaws']
